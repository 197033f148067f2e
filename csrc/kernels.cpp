// Fills one KernelTable. Compiled once per instruction-set level (CMakeLists.txt).
#include "kernels.h"

#include "cells.h"
#include "pack.h"

namespace fastgru::FASTGRU_LEVEL {

// ---- the input projection

template <class T, int M, int P>
FASTGRU_TILE void project_tile(const T* const* row, ptrdiff_t rows, ptrdiff_t i, ptrdiff_t I, const T* weight,
                               const T* bias, T* projected) {
    constexpr int L = kLanes<T>;
    const T* a[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { a[m] = row[i + m]; });
    Tile<T, M, 3 * P> tile;
    unroll<M>([&](auto m) FASTGRU_INLINED {
        unroll<3 * P>([&](auto n) FASTGRU_INLINED { tile.sum[m][n] = load(bias + n * L); });
    });
    multiply_rows<T, M, 3, P>(tile, a, I, weight, I * 3 * L);
    unroll<P>([&](auto p) FASTGRU_INLINED {
        unroll<M>([&](auto m) FASTGRU_INLINED {
            T* to = projected + (p * rows + i + m) * 3 * L;
            unroll<3>([&](auto gate) FASTGRU_INLINED { store(to + gate * L, tile.sum[m][p * 3 + gate]); });
        });
    });
}

// Kernels::project
template <class T>
void project(const T* const* row, ptrdiff_t rows, ptrdiff_t I, const T* weight, const T* bias, ptrdiff_t begin,
             ptrdiff_t end, T* projected) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t panel = begin; panel < end; ++panel) {
        for (ptrdiff_t i = 0; i < rows; i += kTileRows) {
            with_rows<kTileRows>(rows - i, [&](auto m) {
                project_tile<T, decltype(m)::value, 1>(row, rows, i, I, weight + panel * I * 3 * L,
                                                       bias + panel * 3 * L,
                                                       projected + (panel - begin) * rows * 3 * L);
            });
        }
    }
}

// ---- the recurrence forward

// The elementwise part for one row and one vector of hidden units. All addresses are those of its first unit.
template <class T>
FASTGRU_INLINE void forward_unit(Vec<T> ac_r, Vec<T> ac_z, Vec<T> a_n, Vec<T> c_n, const T* h, T* output, T* saved,
                                 ptrdiff_t H, int lanes) {
    Gates<T> gates;
    store_upto(output, forward_cell<T>(ac_r, ac_z, a_n, c_n, load_upto(h, lanes), gates), lanes);
    if (saved == nullptr) return;
    store_upto(saved, gates.r, lanes);
    store_upto(saved + H, gates.z, lanes);
    store_upto(saved + 2 * H, gates.n, lanes);
    store_upto(saved + 3 * H, gates.c_n, lanes);
}

// One step's place in memory.
template <class T>
struct ForwardPlace {
    const T* projected;  // first row of this step
    T* output;
    T* saved;
};

template <class T, int M, int P>
FASTGRU_TILE void forward_tile(const ForwardSteps<T>& run, const ForwardPlace<T>& place, ptrdiff_t i,
                               ptrdiff_t panel) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size;
    const ptrdiff_t projected_panel = run.projected_rows * 3 * L;
    const T* projected = place.projected + (panel - run.panel_begin) * projected_panel + i * 3 * L;
    const T* h[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { h[m] = run.previous[i + m]; });

    Tile<T, M, 3 * P> tile;
    unroll<P>([&](auto p) FASTGRU_INLINED {
        const Vec<T> bias_hn = load(run.bias_hn + (panel + p) * L);
        unroll<M>([&](auto m) FASTGRU_INLINED {
            const T* a = projected + p * projected_panel + m * 3 * L;
            tile.sum[m][p * 3 + 0] = load(a);
            tile.sum[m][p * 3 + 1] = load(a + L);
            tile.sum[m][p * 3 + 2] = bias_hn;
        });
    });
    multiply_rows<T, M, 3, P>(tile, h, H, run.weight_hh + panel * H * 3 * L, H * 3 * L);

    const StoredTile<T, M, 3 * P> sums(tile);
    for (ptrdiff_t p = 0; p < P; ++p) {
        const ptrdiff_t unit = (panel + p) * L;
        const int lanes = int(min(L, H - unit));
        for (ptrdiff_t m = 0; m < M; ++m) {
            const Vec<T> a_n = load(projected + p * projected_panel + m * 3 * L + 2 * L);
            T* saved = place.saved == nullptr ? nullptr : place.saved + (i + m) * 4 * H + unit;
            forward_unit<T>(sums.at(m, p * 3), sums.at(m, p * 3 + 1), a_n, sums.at(m, p * 3 + 2),
                            run.previous[i + m] + unit, place.output + (i + m) * run.output_stride + unit, saved, H,
                            lanes);
        }
    }
}

// All panels of a run for M rows from i on, P panels at a time and then fewer.
template <class T, int M, int P>
FASTGRU_INLINE ptrdiff_t forward_panels(const ForwardSteps<T>& run, const ForwardPlace<T>& place, ptrdiff_t i,
                                        ptrdiff_t panel) {
    for (; panel + P <= run.panel_end; panel += P) forward_tile<T, M, P>(run, place, i, panel);
    if constexpr (P > 1) panel = forward_panels<T, M, P / 2>(run, place, i, panel);
    return panel;
}

// One step for `rows` rows: a panel stays in the nearest cache while all full tiles of rows use it.
template <class T>
void forward_step(const ForwardSteps<T>& run, const ForwardPlace<T>& place, ptrdiff_t rows) {
    const ptrdiff_t full = rows - rows % kTileRows;
    if (full > 0) {
        for (ptrdiff_t panel = run.panel_begin; panel < run.panel_end; ++panel)
            for (ptrdiff_t i = 0; i < full; i += kTileRows) forward_tile<T, kTileRows, 1>(run, place, i, panel);
    }
    if (rows > full) {
        with_rows<kTileRows>(rows - full, [&](auto m) {
            constexpr int M = decltype(m)::value;
            forward_panels<T, M, kSidePanels<M, 3>>(run, place, full, run.panel_begin);
        });
    }
}

// Kernels::forward_steps
template <class T>
void forward_steps(const ForwardSteps<T>& run) {
    const Steps& steps = *run.steps;
    const T* projected = run.projected;
    for (ptrdiff_t s = run.step_begin; s < run.step_end; ++s) {
        const ptrdiff_t t = run.is_reverse ? steps.count - 1 - s : s;
        const ptrdiff_t rows = min(steps.active(t), run.row_end) - run.row_begin;
        if (rows > 0) {
            for (ptrdiff_t i = 0; i < rows; ++i) run.previous[i] = state_before<T>(run, t, run.row_begin + i);
            const ptrdiff_t flat = steps.first_row[t] + run.row_begin;
            T* saved = run.saved == nullptr ? nullptr : run.saved + flat * 4 * run.hidden_size;
            const ForwardPlace<T> place{projected, run.output + flat * run.output_stride, saved};
            forward_step<T>(run, place, rows);
            projected += rows * 3 * kLanes<T>;
        }
        run.barrier->wait(run.threads);
    }
}

// ---- one step without packed weights

// sum[gate][m] += W[gate] . v[m] for one block of hidden units, straight from rows r, z, n of a (3H, K) matrix.
template <class T, int M>
FASTGRU_INLINE void multiply_unpacked(const T* weight, ptrdiff_t H, ptrdiff_t unit, ptrdiff_t K, const T* v,
                                      ptrdiff_t v_stride, Vec<T> (&sum)[3][M]) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t k = 0; k < K; k += L) {
        const ptrdiff_t columns = min(L, K - k);
        unroll<3>([&](auto gate) FASTGRU_INLINED {
            Vec<T> column[L];
            load_transposed<T>(weight + (gate * H + unit) * K, K, H - unit, k, column);
            unroll<L>([&](auto j) FASTGRU_INLINED {
                if (j < columns) {
                    unroll<M>([&](auto m) FASTGRU_INLINED {
                        sum[gate][m] = fma(broadcast(v[m * v_stride + k + j]), column[j], sum[gate][m]);
                    });
                }
            });
        });
    }
}

template <class T, int M>
FASTGRU_TILE void single_step_block(const SingleStep<T>& run, ptrdiff_t block) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, unit = block * L;
    const int lanes = int(min(L, H - unit));
    Vec<T> a[3][M] = {}, c[3][M] = {};
    if (run.bias_ih != nullptr) {
        unroll<3>([&](auto gate) FASTGRU_INLINED {
            const Vec<T> bias_ih = load_upto(run.bias_ih + gate * H + unit, lanes);
            const Vec<T> bias_hh = load_upto(run.bias_hh + gate * H + unit, lanes);
            unroll<M>([&](auto m) FASTGRU_INLINED {
                a[gate][m] = gate < 2 ? bias_ih + bias_hh : bias_ih;
                c[gate][m] = bias_hh;
            });
        });
    }
    multiply_unpacked<T, M>(run.weight_ih, H, unit, run.input_size, run.input, run.input_stride, a);
    unroll<2>([&](auto gate) FASTGRU_INLINED {  // r and z go on in the same sums; n keeps the two apart
        unroll<M>([&](auto m) FASTGRU_INLINED { c[gate][m] = a[gate][m]; });
    });
    multiply_unpacked<T, M>(run.weight_hh, H, unit, H, run.h_0, run.h_0_stride, c);
    unroll<M>([&](auto m) FASTGRU_INLINED {
        T* saved = run.saved == nullptr ? nullptr : run.saved + m * 4 * H + unit;
        forward_unit<T>(c[0][m], c[1][m], a[2][m], c[2][m], run.h_0 + m * run.h_0_stride + unit,
                        run.output + m * run.output_stride + unit, saved, H, lanes);
    });
}

// Kernels::single_step
template <class T>
void single_step(const SingleStep<T>& run) {
    for (ptrdiff_t block = run.begin; block < run.end; ++block)
        with_rows<kSingleStepRows>(run.rows, [&](auto m) { single_step_block<T, decltype(m)::value>(run, block); });
}

// ---- the recurrence backward

// One step's place in memory; `later` is the step processed before this one.
template <class T>
struct BackwardPlace {
    ptrdiff_t t;             // this step; outside the sequence when only rows that end here are left
    const T* later_d_gates;  // group r of batch row 0 at the later step
};

// What a tile of rows is at this step.
enum class RowKind {
    inner,  // gradient arrives from the later step, and goes on
    last,   // the sequence's last step: gradient arrives from h_n
    first,  // the later step was the sequence's first: gradient goes to h_0
};

// The elementwise part for one row and one vector of hidden units: from the gradient `d_h` of the state after step
// t to the gradients of its sums.
template <class T>
FASTGRU_INLINE void backward_unit(const BackwardSteps<T>& run, ptrdiff_t t, ptrdiff_t b, ptrdiff_t block, int lanes,
                                  Vec<T> d_h) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, blocks = blocks_of<T>(H), unit = block * L;
    const ptrdiff_t flat = run.steps->first_row[t] + b;
    if (run.d_output.data != nullptr) {
        const T* d_output = run.d_output.step(*run.steps, t) + b * run.d_output.row_stride;
        d_h += load_upto(d_output + unit, lanes);
    }
    const T* saved = run.saved + flat * 4 * H + unit;
    const Gates<T> gates{load_upto(saved, lanes), load_upto(saved + H, lanes), load_upto(saved + 2 * H, lanes),
                         load_upto(saved + 3 * H, lanes)};
    const Vec<T> h = load_upto(state_before<T>(run, t, b) + unit, lanes);
    const GateGradients<T> d = backward_cell<T>(gates, h, d_h);
    store(run.carry + b * blocks * L + unit, d_h * gates.z);
    T* to = run.d_gates + (block * run.capacity + flat - run.first_row) * L;
    const ptrdiff_t group = blocks * run.capacity * L;
    store(to, d.n);
    store(to + group, d.r);
    store(to + 2 * group, d.z);
    store(to + 3 * group, d.rn);
}

template <class T, int M, int W, int P>
FASTGRU_TILE void backward_tile(const BackwardSteps<T>& run, const BackwardPlace<T>& place, RowKind kind,
                                ptrdiff_t i, ptrdiff_t panel) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, blocks = blocks_of<T>(H), depth = 3 * blocks;
    Tile<T, M, W * P> tile{};
    if (kind != RowKind::last) {
        const T* a[M];
        unroll<M>([&](auto m) FASTGRU_INLINED { a[m] = place.later_d_gates + (i + m) * L; });
        const T* b = run.weight_hh + panel * depth * L * W * L;
        for (ptrdiff_t k = 0; k < depth; ++k) {
            multiply_rows<T, M, W, P>(tile, a, L, b, depth * L * W * L);
            unroll<M>([&](auto m) FASTGRU_INLINED { a[m] += run.capacity * L; });
            b += L * W * L;
        }
    }
    const StoredTile<T, M, W * P> sums(tile);
    for (ptrdiff_t n = 0; n < W * P; ++n) {
        const ptrdiff_t block = panel * W + n;
        if (block >= blocks) return;
        const int lanes = int(min(L, H - block * L));
        for (ptrdiff_t row = i; row < i + M; ++row) {
            Vec<T> d_h = sums.at(row - i, n);
            if (kind != RowKind::last)
                d_h += load(run.carry + (row * blocks + block) * L);
            else if (run.d_h_n != nullptr)
                d_h = load_upto(run.d_h_n + row * H + block * L, lanes);
            if (kind == RowKind::first)
                store_upto(run.d_h_0 + row * H + block * L, d_h, lanes);
            else
                backward_unit<T>(run, place.t, row, block, lanes, d_h);
        }
    }
}

template <class T, int M, int W, int P>
FASTGRU_INLINE ptrdiff_t backward_panels(const BackwardSteps<T>& run, const BackwardPlace<T>& place, RowKind kind,
                                         ptrdiff_t i, ptrdiff_t panel) {
    for (; panel + P <= run.panel_end; panel += P) backward_tile<T, M, W, P>(run, place, kind, i, panel);
    if constexpr (P > 1) panel = backward_panels<T, M, W, P / 2>(run, place, kind, i, panel);
    return panel;
}

// Batch rows [begin, end) of one step, all of one kind.
template <class T, int W>
void backward_rows(const BackwardSteps<T>& run, const BackwardPlace<T>& place, RowKind kind, ptrdiff_t begin,
                   ptrdiff_t end) {
    ptrdiff_t i = begin;
    if (end - begin >= kTileRows) {
        i = end - (end - begin) % kTileRows;
        for (ptrdiff_t panel = run.panel_begin; panel < run.panel_end; ++panel)
            for (ptrdiff_t row = begin; row < i; row += kTileRows)
                backward_tile<T, kTileRows, W, 1>(run, place, kind, row, panel);
    }
    if (end > i) {
        with_rows<kTileRows>(end - i, [&](auto m) {
            constexpr int M = decltype(m)::value;
            backward_panels<T, M, W, kSidePanels<M, W>>(run, place, kind, i, run.panel_begin);
        });
    }
}

template <class T, int W>
void backward_steps_of_width(const BackwardSteps<T>& run) {
    const Steps& steps = *run.steps;
    const ptrdiff_t blocks = blocks_of<T>(run.hidden_size), group = blocks * run.capacity * kLanes<T>;
    const auto time = [&](ptrdiff_t s) { return run.is_reverse ? steps.count - 1 - s : s; };
    // Before step 0 there are no rows; what is left there is the gradient of h_0.
    const ptrdiff_t stop = run.step_begin == 0 && run.d_h_0 != nullptr ? -1 : run.step_begin;
    for (ptrdiff_t s = run.step_end - 1; s >= stop; --s) {
        const ptrdiff_t t = time(s), later = time(s + 1);
        const ptrdiff_t rows = min(steps.active(t), run.row_end),
                        later_rows = min(steps.active(later), run.row_end);
        BackwardPlace<T> place{t, nullptr};
        if (later_rows > 0) {
            const bool is_in_range = s + 1 < run.step_end;
            const T* d_gates = is_in_range ? run.d_gates : run.later_d_gates;
            const ptrdiff_t first_row = is_in_range ? run.first_row : run.later_first_row;
            place.later_d_gates = d_gates + group + (steps.first_row[later] - first_row) * kLanes<T>;
        }
        const ptrdiff_t both = min(rows, later_rows);
        backward_rows<T, W>(run, place, RowKind::inner, run.row_begin, both);
        backward_rows<T, W>(run, place, RowKind::last, both > run.row_begin ? both : run.row_begin, rows);
        if (run.d_h_0 != nullptr)
            backward_rows<T, W>(run, place, RowKind::first, both > run.row_begin ? both : run.row_begin,
                                later_rows);
        run.barrier->wait(run.threads);
    }
}

// Kernels::backward_steps
template <class T>
void backward_steps(const BackwardSteps<T>& run) {
    with_rows<3>(run.panel_vectors, [&](auto W) { backward_steps_of_width<T, decltype(W)::value>(run); });
}

// ---- the products of the backward pass that are not part of the recurrence

template <class T, int M, int W>
FASTGRU_TILE void input_gradient_tile(const T* d_gates, ptrdiff_t capacity, ptrdiff_t blocks, const T* weight,
                                      ptrdiff_t K, T* d_input, bool accumulate, ptrdiff_t i, ptrdiff_t column) {
    constexpr int L = kLanes<T>;
    Tile<T, M, W> tile{};
    const T* a[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { a[m] = d_gates + (i + m) * L; });
    for (ptrdiff_t k = 0; k < blocks; ++k) {
        multiply_rows<T, M, W, 1>(tile, a, L, weight + k * L * W * L, 0);
        unroll<M>([&](auto m) FASTGRU_INLINED { a[m] += capacity * L; });
    }
    unroll<W>([&](auto w) FASTGRU_INLINED {
        const int lanes = int(min(L, K - column - w * L));
        if (lanes <= 0) return;
        unroll<M>([&](auto m) FASTGRU_INLINED {
            T* to = d_input + (i + m) * K + column + w * L;
            const Vec<T> sum = accumulate ? load_upto(to, lanes) + tile.sum[m][w] : tile.sum[m][w];
            store_upto(to, sum, lanes);
        });
    });
}

// Kernels::input_gradient
template <class T>
void input_gradient(const T* d_gates, ptrdiff_t capacity, ptrdiff_t blocks, const T* weight, int vectors,
                    ptrdiff_t K, T* d_input, bool accumulate, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    with_rows<3>(vectors, [&](auto w) {
        constexpr int W = decltype(w)::value;
        for (ptrdiff_t column = 0; column < K; column += W * L) {
            const T* panel = weight + column * blocks * L;
            for (ptrdiff_t i = begin; i < end; i += kTileRows) {
                with_rows<kTileRows>(end - i, [&](auto m) {
                    input_gradient_tile<T, decltype(m)::value, W>(d_gates, capacity, blocks, panel, K, d_input,
                                                                  accumulate, i, column);
                });
            }
        }
    });
}

// Kernels::weight_gradient
template <class T>
void weight_gradient(const T* d_gates, ptrdiff_t capacity, ptrdiff_t rows, ptrdiff_t blocks, const T* right,
                     int vectors, ptrdiff_t panels, T* d_weight, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    constexpr int M = kTileRows < L ? kTileRows : L;
    // Blocks per pass: their rows stay in the level-2 cache while the panels of `right` go by.
    const ptrdiff_t pass = 1 + (256 * 1024) / (rows * L * ptrdiff_t(sizeof(T)));
    with_rows<3>(vectors, [&](auto w) {
        constexpr int W = decltype(w)::value;
        for (ptrdiff_t first = begin; first < end; first += pass) {
            const ptrdiff_t last = min(first + pass, end);
            for (ptrdiff_t panel = 0; panel < panels; ++panel) {
                for (ptrdiff_t unit = first * L; unit < last * L; unit += M) {
                    const T* a = d_gates + (unit / L) * capacity * L + unit % L;
                    Tile<T, M, W> tile{};
                    multiply_transposed<T, M, W>(tile, a, rows, right + panel * capacity * W * L);
                    T* to = d_weight + (panel * blocks * L + unit) * W * L;
                    unroll<M>([&](auto m) FASTGRU_INLINED {
                        unroll<W>([&](auto n) FASTGRU_INLINED {
                            T* sum = to + (m * W + n) * L;
                            store(sum, load(sum) + tile.sum[m][n]);
                        });
                    });
                }
            }
        }
    });
}

// Kernels::bias_gradient
template <class T>
void bias_gradient(const T* d_gates, ptrdiff_t capacity, ptrdiff_t rows, T* d_bias, ptrdiff_t begin,
                   ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t block = begin; block < end; ++block) {
        Vec<T> sum{};
        for (ptrdiff_t i = 0; i < rows; ++i) sum += load(d_gates + (block * capacity + i) * L);
        store(d_bias + block * L, load(d_bias + block * L) + sum);
    }
}

// ---- activations alone

template <class T, class Function>
FASTGRU_INLINE void elementwise(const T* x, T* y, ptrdiff_t n, Function function) {
    for (ptrdiff_t i = 0; i < n; i += kLanes<T>) {
        const int lanes = int(min(kLanes<T>, n - i));
        store_upto(y + i, function(load_upto(x + i, lanes)), lanes);
    }
}

template <class T>
void sigmoid_all(const T* x, T* y, ptrdiff_t n) {
    elementwise(x, y, n, [](Vec<T> v) FASTGRU_INLINED { return sigmoid<T>(v); });
}

template <class T>
void tanh_all(const T* x, T* y, ptrdiff_t n) {
    elementwise(x, y, n, [](Vec<T> v) FASTGRU_INLINED { return tanh<T>(v); });
}

template <class T>
constexpr Kernels<T> kernels() {
    return {kLanes<T>,        kTileRows,      pack_gates<T>,     pack_rows<T>,      project<T>,
            forward_steps<T>, single_step<T>, backward_steps<T>, input_gradient<T>, weight_gradient<T>,
            bias_gradient<T>, sigmoid_all<T>, tanh_all<T>};
}

#define FASTGRU_STRING(name) #name
#define FASTGRU_NAME(level) FASTGRU_STRING(level)
extern const KernelTable table{FASTGRU_NAME(FASTGRU_LEVEL), kernels<float>(), kernels<double>()};

}  // namespace fastgru::FASTGRU_LEVEL
