// The elementwise part of a forward step: from the sums that tiles leave in scratch to gates and states. It knows
// nothing of tiles, nor of the type in which weights are stored: what is to change the gates goes here alone.
#pragma once

#include "kernels/equations.h"
#include "shared/integer_math.h"

namespace fastgru::FASTGRU_LEVEL {

// Some batch rows of one step, and `blocks` hidden blocks of them from unit `unit` on.
template <class T>
struct GateRows {
    ptrdiff_t count, blocks;
    ptrdiff_t hidden_size, unit;
    T* sums;                   // [blocks][count][3][L]: ac_r, ac_z, c_n; r and z take the place of their sums
    const T* projected;        // [blocks][projected_rows][3][L], of which the last is a_n
    ptrdiff_t projected_rows;  // count, or more
    const T* const* previous;  // [count]: where states of H are
    T* const* next;            // [count]: the same; null: not wanted
    T* saved;                  // [count][4][H]: r, z, n, c_n; null: not wanted

    FASTGRU_INLINE T* sums_of(ptrdiff_t block) const { return sums + block * count * 3 * kLanes<T>; }
    FASTGRU_INLINE T* saved_of(ptrdiff_t block) const { return saved + unit + block * kLanes<T>; }
    // How many units of a block there are: an Index if all, so that nothing asks again vector for vector.
    template <class Body>
    FASTGRU_INLINE void with_lanes(ptrdiff_t block, Body body) const {
        const ptrdiff_t left = hidden_size - unit - block * kLanes<T>;
        if (left >= kLanes<T>)
            body(Index<kLanes<T>>{});
        else
            body(int(left));
    }
};

// The first pass: r and z of all rows, in place of their sums.
template <bool kSaves, class T, class Lanes>
FASTGRU_INLINE void open_gates(const GateRows<T>& rows, ptrdiff_t block, Lanes lanes) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t count = rows.count, H = rows.hidden_size;
    T* sums = rows.sums_of(block);
    T* saved = kSaves ? rows.saved_of(block) : nullptr;
    for (ptrdiff_t i = 0; i < count; ++i, sums += 3 * L) {
        const Vec<T> r = sigmoid<T>(load(sums)), z = sigmoid<T>(load(sums + L));
        store(sums, r);
        store(sums + L, z);
        if constexpr (kSaves) {
            store_upto(saved, r, lanes);
            store_upto(saved + H, z, lanes);
            store_upto(saved + 3 * H, load(sums + 2 * L), lanes);
            saved += 4 * H;
        }
    }
}

// The second: n and the states.
template <bool kSaves, class T, class Lanes>
FASTGRU_INLINE void move_states(const GateRows<T>& rows, ptrdiff_t block, Lanes lanes) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t count = rows.count, H = rows.hidden_size, unit = rows.unit + block * L;
    const T* a_n = rows.projected + (block * rows.projected_rows * 3 + 2) * L;
    const T* sums = rows.sums_of(block);
    T* saved = kSaves ? rows.saved_of(block) : nullptr;
    const T* const* previous = rows.previous;
    T* const* next = rows.next;
    for (ptrdiff_t i = 0; i < count; ++i, sums += 3 * L, a_n += 3 * L) {
        Gates<T> gates{.r = load(sums), .z = load(sums + L), .n = {}, .c_n = load(sums + 2 * L)};
        gates.n = new_gate<T>(load(a_n), gates);
        if constexpr (kSaves) {
            store_upto(saved + 2 * H, gates.n, lanes);
            saved += 4 * H;
            if (next == nullptr) continue;
        }
        store_upto(next[i] + unit, next_state<T>(gates, load_upto(previous[i] + unit, lanes)), lanes);
    }
}

template <bool kSaves, class T>
FASTGRU_INLINE void gates_in_passes(const GateRows<T>& rows) {
    for (ptrdiff_t block = 0; block < rows.blocks; ++block)
        rows.with_lanes(block, [&](auto lanes) FASTGRU_INLINED { open_gates<kSaves>(rows, block, lanes); });
    for (ptrdiff_t block = 0; block < rows.blocks; ++block)
        rows.with_lanes(block, [&](auto lanes) FASTGRU_INLINED { move_states<kSaves>(rows, block, lanes); });
}

// The gates of some rows, in two passes. A row's equations are a long chain, of which a processor has few in
// flight; a pass is short enough for several rows of it. Inlined, for tiles of few rows, whose sums then stay in
// registers.
template <class T>
FASTGRU_INLINE void gates_of_tile(const GateRows<T>& rows) {
    if (rows.saved == nullptr)
        gates_in_passes<false>(rows);
    else
        gates_in_passes<true>(rows);
}

// The same as one function for all tiles.
template <class T>
FASTGRU_TILE void gates_of_rows(const GateRows<T>& rows) {
    gates_of_tile(rows);
}

// Vectors of sums whose gates are computed together. Enough for the passes, and not more: their sums stay in the
// nearest cache beside a panel of weights, and stores to `saved` do not come in bursts that the caches' bus cannot
// take (32 cost a training forward 2 to 5 %).
constexpr ptrdiff_t kGateVectors = 16;

}  // namespace fastgru::FASTGRU_LEVEL
