// Forward kernels of layers that reset before the product. A step goes through its panels twice: r and z of all
// units, and then n and the states, whose products take r * h of all units. The sums are those of register_tiles.h:
// each in one chain, over the units in their order.
#pragma once

#include "kernels/equations.h"
#include "kernels/pack_panels.h"
#include "kernels/step_loop.h"
#include "shared/reset_before_table.h"

namespace fastgru::FASTGRU_LEVEL {

// ---- panels

// One gate's rows for a hidden block, column k to `to` + k * distance. `rows` are left of the gate.
template <class S, class T = Sum<S>>
FASTGRU_INLINE void pack_gate(const S* weight, ptrdiff_t rows, ptrdiff_t K, T* to, ptrdiff_t distance) {
    constexpr int part = kPartLanes<S>;
    for (ptrdiff_t k = 0; k < K; k += part) {
        Vec<T> column[part];
        load_columns(weight, K, rows, k, column);
        unroll<part>([&](auto j) FASTGRU_INLINED {
            if (k + j < K) store(to + (k + j) * distance, column[j]);
        });
    }
}

// Where the panels of n begin, behind those of r and z.
template <class T>
FASTGRU_INLINE ptrdiff_t new_gate_panels(ptrdiff_t H) {
    return blocks_of<T>(H) * H * 2 * kLanes<T>;
}

// ResetBeforeKernels::pack_hidden
template <class S, class T = Sum<S>>
void pack_hidden(const S* weight, ptrdiff_t H, T* packed, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t block = begin; block < end; ++block) {
        const ptrdiff_t unit = block * L;
        T* pair = packed + unit * H * 2;
        pack_gate(weight + unit * H, H - unit, H, pair, 2 * L);
        pack_gate(weight + (H + unit) * H, H - unit, H, pair + L, 2 * L);
        pack_gate(weight + (2 * H + unit) * H, H - unit, H, packed + new_gate_panels<T>(H) + unit * H, L);
    }
}

// ---- one step

// One step's place in memory: of the first of its rows, which are `distance` apart.
template <class T>
struct ResetBeforePlace {
    const T* projected;  // [panel][projected_rows][3][L]
    T *r, *n;            // null: not wanted
    T *z, *gated;        // gated: r * h
    ptrdiff_t distance;
    bool is_downward;
};

// From where the values of the first row are saved, or else from scratch.
template <class T>
FASTGRU_INLINE ResetBeforePlace<T> place_of(ptrdiff_t H, const T* projected, T* saved, T* scratch,
                                            bool is_downward) {
    if (saved == nullptr) return {projected, nullptr, nullptr, scratch, scratch + H, 2 * H, is_downward};
    return {projected, saved, saved + 2 * H, saved + H, saved + 3 * H, 4 * H, is_downward};
}

// body(lanes) for a block of units from `unit` on: an Index where all exist, so that nothing asks vector by vector.
template <class T, class Body>
FASTGRU_INLINE void with_lanes_of(ptrdiff_t hidden_size, ptrdiff_t unit, Body&& body) {
    if (hidden_size - unit >= kLanes<T>)
        body(Index<kLanes<T>>{});
    else
        body(int(hidden_size - unit));
}

// r and z of `count` rows from i on, from their sums [count][2][L]. Run is ForwardSteps or SingleStep.
template <class Run, class T, class Lanes>
FASTGRU_INLINE void open_rows(const Run& run, const ResetBeforePlace<T>& place, ptrdiff_t i, ptrdiff_t count,
                              ptrdiff_t unit, const T* sums, Lanes lanes) {
    constexpr int L = kLanes<T>;
    ptrdiff_t at = i * place.distance + unit;
    for (ptrdiff_t m = 0; m < count; ++m, sums += 2 * L, at += place.distance) {
        const Vec<T> r = sigmoid<T>(load(sums)), z = sigmoid<T>(load(sums + L));
        store_upto(place.z + at, z, lanes);
        store_upto(place.gated + at, r * load_upto(run.previous[i + m] + unit, lanes), lanes);
        if (place.r != nullptr) store_upto(place.r + at, r, lanes);
    }
}

// The first pass for M rows from i on and P panels from `panel` on.
template <class T, int M, int P>
FASTGRU_TILE void open_tile(const ForwardSteps<T>& run, const ResetBeforePlace<T>& place, ptrdiff_t i,
                            ptrdiff_t panel) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, values = H * 2 * L;
    const T *a = place.projected + ((panel - run.panel_begin) * run.projected_rows + i) * 3 * L, *h[M];
    Tile<T, M, 2 * P> tile;
    unroll<M>([&](auto m) FASTGRU_INLINED {
        h[m] = run.previous[i + m];
        unroll<2 * P>([&](auto n) FASTGRU_INLINED {
            tile.sum[m][n] = load(a + ((n / 2) * run.projected_rows + m) * 3 * L + n % 2 * L);
        });
    });
    multiply_rows<T, M, 2, P>(tile, h, H, run.weight_hh + panel * values, values);
    alignas(64) T sums[P * M * 2 * L];
    unroll<M>([&](auto m) FASTGRU_INLINED {
        unroll<2 * P>([&](auto n)
                          FASTGRU_INLINED { store(sums + ((n / 2 * M + m) * 2 + n % 2) * L, tile.sum[m][n]); });
    });
    for (int p = 0; p < P; ++p) {
        const ptrdiff_t unit = (panel + p) * L;
        with_lanes_of<T>(H, unit, [&](auto lanes) FASTGRU_INLINED {
            open_rows(run, place, i, M, unit, sums + p * M * 2 * L, lanes);
        });
    }
}

// n and the states of `count` rows from i on, from the sums of n [count][L].
template <class Run, class T, class Lanes>
FASTGRU_INLINE void move_rows(const Run& run, const ResetBeforePlace<T>& place, ptrdiff_t i, ptrdiff_t count,
                              ptrdiff_t unit, const T* sums, Lanes lanes) {
    ptrdiff_t at = i * place.distance + unit;
    for (ptrdiff_t m = 0; m < count; ++m, sums += kLanes<T>, at += place.distance) {
        Gates<T> gates{.r = {}, .z = load_upto(place.z + at, lanes), .n = {}, .c_n = {}};
        const Vec<T> h = load_upto(run.previous[i + m] + unit, lanes);
        const Vec<T> state = forward_new_cell<T>(load(sums), h, gates);
        if (place.n != nullptr) store_upto(place.n + at, gates.n, lanes);
        if (run.next != nullptr) store_upto(run.next[i + m] + unit, state, lanes);
    }
}

// The second pass for M rows from i on and P panels from `panel` on.
template <class T, int M, int P>
FASTGRU_TILE void move_tile(const ForwardSteps<T>& run, const ResetBeforePlace<T>& place, ptrdiff_t i,
                            ptrdiff_t panel) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, values = H * L;
    const T *a = place.projected + ((panel - run.panel_begin) * run.projected_rows + i) * 3 * L, *gated[M];
    Tile<T, M, P> tile;
    unroll<M>([&](auto m) FASTGRU_INLINED {
        gated[m] = place.gated + (i + m) * place.distance;
        unroll<P>([&](auto p)
                      FASTGRU_INLINED { tile.sum[m][p] = load(a + (p * run.projected_rows + m) * 3 * L + 2 * L); });
    });
    multiply_rows<T, M, 1, P>(tile, gated, H, run.weight_hh + new_gate_panels<T>(H) + panel * values, values);
    alignas(64) T sums[P * M * L];
    unroll<M>([&](auto m) FASTGRU_INLINED {
        unroll<P>([&](auto p) FASTGRU_INLINED { store(sums + (p * M + m) * L, tile.sum[m][p]); });
    });
    for (int p = 0; p < P; ++p) {
        const ptrdiff_t unit = (panel + p) * L;
        with_lanes_of<T>(H, unit, [&](auto lanes) FASTGRU_INLINED {
            move_rows(run, place, i, M, unit, sums + p * M * L, lanes);
        });
    }
}

// ---- passes

// Panels of W gates side by side, of which M rows have registers for the sums: enough for several chains.
template <class T, int M, int W>
constexpr int kPanelsBeside = W == 1   ? int(panel_vectors(M))
                              : M == 1 ? 4
                                       : kSidePanels<M, 2, T>;

// body(Index<P>, panel) for all panels of a run, at most Max together.
template <int Max, class T, class Body>
FASTGRU_INLINE void with_panels_of(const ForwardSteps<T>& run, bool is_downward, Body&& body) {
    const EqualParts parts(run.panel_begin, run.panel_end, Max);
    for (ptrdiff_t n = 0; n < parts.parts; ++n) {
        const EqualParts::Part part = parts[is_downward ? parts.parts - 1 - n : n];
        if (part.count > 0) with_rows<Max>(part.count, [&](auto p) { body(p, part.begin); });
    }
}

// tile(Index<M>, Index<P>, row, panel) for all rows and panels of W gates. A panel stays near while all rows use
// it.
template <int W, class T, class Tile>
FASTGRU_INLINE void for_tiles(const ForwardSteps<T>& run, ptrdiff_t rows, bool is_downward, Tile&& tile) {
    constexpr int full = kRowsBeside < W == 1 ? kPanelVectors : W > ;
    if (rows <= full) {
        return with_rows<full>(rows, [&](auto m) {
            with_panels_of<kPanelsBeside<T, decltype(m)::value, W>>(
                run, is_downward, [&](auto p, ptrdiff_t panel) { tile(m, p, 0, panel); });
        });
    }
    with_panels_of<kPanelsBeside<T, full, W>>(run, is_downward, [&](auto p, ptrdiff_t panel) {
        with_tiles<full>(rows, [&](auto m, ptrdiff_t row) { tile(m, p, row, panel); });
    });
}

template <class T>
void open_all(const ForwardSteps<T>& run, const ResetBeforePlace<T>& place, ptrdiff_t rows) {
    for_tiles<2>(run, rows, place.is_downward, [&](auto m, auto p, ptrdiff_t row, ptrdiff_t panel) {
        open_tile<T, decltype(m)::value, decltype(p)::value>(run, place, row, panel);
    });
}

template <class T>
void move_all(const ForwardSteps<T>& run, const ResetBeforePlace<T>& place, ptrdiff_t rows) {
    for_tiles<1>(run, rows, place.is_downward, [&](auto m, auto p, ptrdiff_t row, ptrdiff_t panel) {
        move_tile<T, decltype(m)::value, decltype(p)::value>(run, place, row, panel);
    });
}

// ResetBeforeKernels::forward_steps
template <class T>
void reset_before_steps(const ForwardSteps<T>& run) {
    for_each_step(run, [&](const T* projected, T* saved, ptrdiff_t rows, bool is_downward) FASTGRU_INLINED {
        const ResetBeforePlace<T> place = place_of(run.hidden_size, projected, saved, run.gated, is_downward);
        open_all(run, place, rows);
        run.barrier->wait(run.threads);
        move_all(run, place, rows);
    });
}

// ResetBeforeKernels::forward_rows
template <class T>
void reset_before_rows(const ForwardSteps<T>& run, ptrdiff_t rows) {
    const ResetBeforePlace<T> place = place_of(run.hidden_size, run.projected, run.saved, run.gated, false);
    open_all(run, place, rows);
    move_all(run, place, rows);
}

}  // namespace fastgru::FASTGRU_LEVEL
