// Kernels of second derivatives: a tangent goes forward through the recurrence beside the states, then a gradient
// and its tangent go back. (The gradient of <v, gradients> is the derivative of the gradients towards v.)
#pragma once

#include "kernels/equations.h"
#include "kernels/pack_panels.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

// Two tiles share their registers: rows and the tangents of these.
constexpr int kTangentRows = kTileRows / 2;

// What a step moves: values of the gates, and their tangents.
template <class T>
struct MovingGates {
    Gates<T> at, d;
};

// The derivatives of `forward_cell` towards (d_ac_r, d_ac_z, d_a_n, d_c_n, d_h).
template <class T>
FASTGRU_INLINE Vec<T> tangent_cell(const Gates<T>& at, Vec<T> h, Vec<T> d_ac_r, Vec<T> d_ac_z, Vec<T> d_a_n,
                                   Vec<T> d_c_n, Vec<T> d_h, Gates<T>& d) {
    const Vec<T> one = broadcast(T(1));
    d.r = at.r * (one - at.r) * d_ac_r;
    d.z = at.z * (one - at.z) * d_ac_z;
    d.c_n = d_c_n;
    d.n = fma(-at.n, at.n, one) * (d_a_n + fma(d.r, at.c_n, at.r * d_c_n));
    return fma(at.z, d_h - d.n, fma(d.z, h - at.n, d.n));
}

// The derivatives of `backward_cell`, of which `of` is the result for the gradient g, towards (d_h, d_g).
template <class T>
FASTGRU_INLINE GateGradients<T> tangent_of_gradients(const MovingGates<T>& gates, const GateGradients<T>& of,
                                                     Vec<T> h, Vec<T> g, Vec<T> d_h, Vec<T> d_g) {
    const auto& [at, d] = gates;
    const Vec<T> one = broadcast(T(1)), two = broadcast(T(2));
    const Vec<T> slope_n = fma(-at.n, at.n, one), slope_z = at.z * (one - at.z), slope_r = at.r * (one - at.r);
    GateGradients<T> moved;
    moved.n = (d_g * (one - at.z) - g * d.z) * slope_n - two * g * (one - at.z) * at.n * d.n;
    moved.z = (d_g * (h - at.n) + g * (d_h - d.n)) * slope_z + g * (h - at.n) * fma(-two, at.z, one) * d.z;
    moved.r = (moved.n * at.c_n + of.n * d.c_n) * slope_r + of.n * at.c_n * fma(-two, at.r, one) * d.r;
    moved.rn = fma(moved.n, at.r, of.n * d.r);
    return moved;
}

template <class T>
FASTGRU_INLINE Vec<T> load_or_zero(const T* from, ptrdiff_t i, int lanes) {
    return from == nullptr ? Vec<T>{} : load_upto(from + i, lanes);
}

template <class T>
FASTGRU_INLINE bool is_alive(const TangentSteps<T>& run, ptrdiff_t row) {
    return run.alive == nullptr || run.alive[row] != 0;
}

// The state, or its tangent, of batch row b before step t.
template <class T>
FASTGRU_INLINE const T* before(const T* states, const T* start, ptrdiff_t start_stride, const TangentSteps<T>& run,
                               ptrdiff_t t, ptrdiff_t b) {
    return t == 0 ? start + b * start_stride : states + ((t - 1) * run.rows + b) * run.hidden_size;
}
template <class T>
FASTGRU_INLINE const T* state_before(const TangentSteps<T>& run, ptrdiff_t t, ptrdiff_t b) {
    return before(run.states, run.start, run.hidden_size, run, t, b);
}
template <class T>
FASTGRU_INLINE const T* tangent_before(const TangentSteps<T>& run, ptrdiff_t t, ptrdiff_t b) {
    return before(run.d_states, run.d_start, run.d_start_stride, run, t, b);
}

// The elementwise part of a step for one row and one vector of hidden units: `c` are the products of the hidden
// projection, `d_c` their tangents, gate by gate.
template <class T>
FASTGRU_INLINE void tangent_unit(const TangentSteps<T>& run, ptrdiff_t t, ptrdiff_t b, ptrdiff_t unit, int lanes,
                                 const Vec<T> (&c)[3], const Vec<T> (&d_c)[3]) {
    const ptrdiff_t H = run.hidden_size, row = t * run.rows + b;
    const Vec<T> h = load_upto(state_before(run, t, b) + unit, lanes);
    const Vec<T> d_h = load_upto(tangent_before(run, t, b) + unit, lanes);
    T *next = run.states + row * H + unit, *d_next = run.d_states + row * H + unit;
    if (!is_alive(run, row)) {
        store_upto(next, h, lanes);
        store_upto(d_next, d_h, lanes);
        return;
    }
    Vec<T> a[3], d_a[3];
    unroll<3>([&](auto gate) FASTGRU_INLINED {
        a[gate] = load_upto(run.a + (row * 3 + gate) * H + unit, lanes);
        d_a[gate] = load_or_zero(run.d_a, (row * 3 + gate) * H + unit, lanes);
    });
    MovingGates<T> gates;
    store_upto(next, forward_cell<T>(a[0] + c[0], a[1] + c[1], a[2], c[2], h, gates.at), lanes);
    store_upto(d_next, tangent_cell<T>(gates.at, h, d_a[0] + d_c[0], d_a[1] + d_c[1], d_a[2], d_c[2], d_h, gates.d),
               lanes);
    T* saved = run.gates + row * 8 * H + unit;
    const Vec<T> all[] = {gates.at.r, gates.at.z, gates.at.n, gates.at.c_n,
                          gates.d.r,  gates.d.z,  gates.d.n,  gates.d.c_n};
    unroll<8>([&](auto i) FASTGRU_INLINED { store_upto(saved + i * H, all[i], lanes); });
}

template <class T, int M>
FASTGRU_TILE void tangent_tile(const TangentSteps<T>& run, ptrdiff_t t, ptrdiff_t i, ptrdiff_t panel) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, unit = panel * L, own = panel * H * 3 * L;
    const int lanes = int(min(L, H - unit));
    const T *both[2 * M], *states[M];
    unroll<M>([&](auto m) FASTGRU_INLINED {
        both[m] = states[m] = state_before(run, t, i + m);
        both[M + m] = tangent_before(run, t, i + m);
    });
    Tile<T, 2 * M, 3> tile{};
    multiply_rows<T, 2 * M, 3, 1>(tile, both, H, run.weight + own, 0);
    const StoredTile<T, 2 * M, 3> sums(tile);
    Tile<T, M, 3> moved{};
    if (run.d_weight != nullptr) multiply_rows<T, M, 3, 1>(moved, states, H, run.d_weight + own, 0);
    const StoredTile<T, M, 3> more(moved);
    for (ptrdiff_t m = 0; m < M; ++m) {
        Vec<T> c[3], d_c[3];
        unroll<3>([&](auto gate) FASTGRU_INLINED {
            c[gate] = sums.at(m, gate) + load_or_zero(run.bias, gate * H + unit, lanes);
            d_c[gate] = sums.at(M + m, gate) + more.at(m, gate) + load_or_zero(run.d_bias, gate * H + unit, lanes);
        });
        tangent_unit<T>(run, t, i + m, unit, lanes, c, d_c);
    }
}

// Kernels::tangent_steps
template <class T>
void tangent_steps(const TangentSteps<T>& run) {
    for (ptrdiff_t t = 0; t < run.steps; ++t) {
        for (ptrdiff_t i = run.row_begin; i < run.row_end; i += kTangentRows) {
            with_rows<kTangentRows>(run.row_end - i, [&](auto m) {
                for (ptrdiff_t panel = 0; panel < blocks_of<T>(run.hidden_size); ++panel)
                    tangent_tile<T, decltype(m)::value>(run, t, i, panel);
            });
        }
    }
}

// The elementwise part of a step back: from the gradient g of the state after step t, and its tangent, to those of
// the sums, and to what goes past them to the state before.
template <class T>
FASTGRU_INLINE void tangent_back_unit(const TangentBackSteps<T>& run, ptrdiff_t t, ptrdiff_t b, ptrdiff_t unit,
                                      int lanes, Vec<T> g, Vec<T> d_g, T* carry, T* d_carry) {
    const TangentSteps<T>& there = *run.there;
    const ptrdiff_t H = there.hidden_size, row = t * there.rows + b, to = row * 3 * H + unit;
    g += load_upto(run.g_states + row * H + unit, lanes);
    d_g += load_or_zero(run.d_g_states, row * H + unit, lanes);
    GateGradients<T> of{}, moved{};
    Vec<T> past = g, d_past = d_g;
    if (is_alive(there, row)) {
        const T* saved = there.gates + row * 8 * H + unit;
        Vec<T> all[8];
        unroll<8>([&](auto i) FASTGRU_INLINED { all[i] = load_upto(saved + i * H, lanes); });
        const MovingGates<T> gates{
            .at = {.r = all[0], .z = all[1], .n = all[2], .c_n = all[3]},
            .d = {.r = all[4], .z = all[5], .n = all[6], .c_n = all[7]},
        };
        const Vec<T> h = load_upto(state_before(there, t, b) + unit, lanes);
        const Vec<T> d_h = load_upto(tangent_before(there, t, b) + unit, lanes);
        of = backward_cell<T>(gates.at, h, g);
        moved = tangent_of_gradients<T>(gates, of, h, g, d_h, d_g);
        past = g * gates.at.z;
        d_past = fma(d_g, gates.at.z, g * gates.d.z);
    }
    store(carry, past);
    store(d_carry, d_past);
    const auto put = [&](T* a, T* c, const GateGradients<T>& from) FASTGRU_INLINED {
        const Vec<T> of_a[] = {from.r, from.z, from.n}, of_c[] = {from.r, from.z, from.rn};
        unroll<3>([&](auto gate) FASTGRU_INLINED {
            store_upto(a + to + gate * H, of_a[gate], lanes);
            store_upto(c + to + gate * H, of_c[gate], lanes);
        });
    };
    put(run.g_a, run.g_c, of);
    put(run.d_g_a, run.d_g_c, moved);
}

// Step t, or -1: then what is left is the gradient of the start.
template <class T, int M, int W>
FASTGRU_TILE void tangent_back_tile(const TangentBackSteps<T>& run, ptrdiff_t t, ptrdiff_t i, ptrdiff_t vector) {
    constexpr int L = kLanes<T>;
    const TangentSteps<T>& there = *run.there;
    const ptrdiff_t H = there.hidden_size, blocks = blocks_of<T>(H), own = vector * 3 * H * L;
    const bool is_last = t + 1 == there.steps;
    Tile<T, 2 * M, W> tile{};
    Tile<T, M, W> moved{};
    if (!is_last) {
        const T *both[2 * M], *gradients[M];
        unroll<M>([&](auto m) FASTGRU_INLINED {
            const ptrdiff_t later = ((t + 1) * there.rows + i + m) * 3 * H;
            both[m] = gradients[m] = run.g_c + later;
            both[M + m] = run.d_g_c + later;
        });
        multiply_rows<T, 2 * M, W, 1>(tile, both, 3 * H, run.weight + own, 0);
        if (run.d_weight != nullptr) multiply_rows<T, M, W, 1>(moved, gradients, 3 * H, run.d_weight + own, 0);
    }
    const StoredTile<T, 2 * M, W> sums(tile);
    const StoredTile<T, M, W> more(moved);
    for (ptrdiff_t n = 0; n < W; ++n) {
        const ptrdiff_t block = vector + n, unit = block * L;
        const int lanes = int(min(L, H - unit));
        for (ptrdiff_t m = 0; m < M; ++m) {
            T* carry = run.carry + ((i + m) * 2 * blocks + block) * L;
            T* d_carry = carry + blocks * L;
            Vec<T> g = sums.at(m, n), d_g = sums.at(M + m, n) + more.at(m, n);
            if (!is_last) g += load(carry), d_g += load(d_carry);
            if (t >= 0)
                tangent_back_unit<T>(run, t, i + m, unit, lanes, g, d_g, carry, d_carry);
            else
                store_upto(run.d_g_start + (i + m) * H + unit, d_g, lanes);
        }
    }
}

// Kernels::tangent_back_steps
template <class T>
void tangent_back_steps(const TangentBackSteps<T>& run) {
    const TangentSteps<T>& there = *run.there;
    const ptrdiff_t blocks = blocks_of<T>(there.hidden_size);
    for (ptrdiff_t t = there.steps - 1; t >= -1; --t) {
        for (ptrdiff_t i = there.row_begin; i < there.row_end; i += kTangentRows) {
            with_panels(0, blocks, [&](auto w, ptrdiff_t vector) {
                with_rows<kTangentRows>(there.row_end - i, [&](auto m) {
                    tangent_back_tile<T, decltype(m)::value, decltype(w)::value>(run, t, i, vector);
                });
            });
        }
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
