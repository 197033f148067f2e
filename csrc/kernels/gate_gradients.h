// The elementwise part of a backward step: from the gradient of a state, of which tiles leave one part in scratch,
// to those of the sums inside the activations. The twin of gates.h.
#pragma once

#include "kernels/equations.h"
#include "kernels/pack_panels.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

// One step's place in memory; `later` is the step processed before this one.
template <class T>
struct BackwardPlace {
    ptrdiff_t t;             // this step; outside the sequence when only rows that end here are left
    ptrdiff_t later;         // its time
    const T* later_d_gates;  // group r of batch row 0 at the later step
};

// What a tile of rows is at this step.
enum class RowKind {
    inner,  // gradient arrives from the later step, and goes on
    last,   // the sequence's last step: gradient arrives from h_n
    first,  // the later step was the sequence's first: gradient goes to h_0
};

// Some batch rows of one step, all of one kind, and hidden blocks of them.
template <class T>
struct GradientRows {
    RowKind kind;
    ptrdiff_t begin, count;
    ptrdiff_t block, blocks;  // those past the last one are left out
    const T* sums;            // [count][blocks][L]: what arrives from the gates of the later step
};

// One row and one vector of hidden units: from the gradient `d_h` of the state after step t to the gradients of its
// sums.
template <class T>
FASTGRU_INLINE void gate_gradients(const BackwardSteps<T>& run, ptrdiff_t t, ptrdiff_t b, ptrdiff_t block,
                                   int lanes, Vec<T> d_h) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, blocks = blocks_of<T>(H), unit = block * L;
    const ptrdiff_t flat = run.steps->first_row[t] + b;
    if (run.d_output.data != nullptr) {
        d_h += load_upto(run.d_output.at(*run.steps, t, b) + unit, lanes);
    }
    const T* saved = run.saved + (flat - run.saved_first_row) * 4 * H + unit;
    const Gates<T> gates{
        .r = load_upto(saved, lanes),
        .z = load_upto(saved + H, lanes),
        .n = load_upto(saved + 2 * H, lanes),
        .c_n = load_upto(saved + 3 * H, lanes),
    };
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

// Adds `d_h`, the gradient of a state that a reset put in, to that of the reset's own; none of it goes on.
template <class T>
FASTGRU_INLINE void divert_to_reset(const BackwardSteps<T>& run, ptrdiff_t b, ptrdiff_t unit, int lanes,
                                    Vec<T>& d_h) {
    if (run.d_reset != nullptr) {
        T* to = run.d_reset + run.steps->place(b) * run.hidden_size + unit;
        store_upto(to, load_upto(to, lanes) + d_h, lanes);
    }
    d_h = Vec<T>{};
}

// The gradients of all these rows. Inlined: there is no long chain to wait for, and a call costs small tiles 2 to 4
// %.
template <class T>
FASTGRU_INLINE void gate_gradients_of_rows(const BackwardSteps<T>& run, const BackwardPlace<T>& place,
                                           const GradientRows<T>& rows) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, blocks = blocks_of<T>(H);
    for (ptrdiff_t n = 0; n < rows.blocks; ++n) {
        const ptrdiff_t block = rows.block + n, unit = block * L;
        if (block >= blocks) return;
        const int lanes = int(min(L, H - unit));
        for (ptrdiff_t i = 0; i < rows.count; ++i) {
            const ptrdiff_t row = rows.begin + i;
            Vec<T> d_h = load(rows.sums + (i * rows.blocks + n) * L);
            if (rows.kind != RowKind::last)
                d_h += load(run.carry + (row * blocks + block) * L);
            else if (run.d_h_n != nullptr)
                d_h = load_upto(run.d_h_n + run.steps->place(row) * H + unit, lanes);
            if (rows.kind != RowKind::last && is_reset(run, place.later, row))
                divert_to_reset<T>(run, row, unit, lanes, d_h);
            if (rows.kind != RowKind::first)
                gate_gradients<T>(run, place.t, row, block, lanes, d_h);
            else if (run.d_h_0 != nullptr)
                store_upto(run.d_h_0 + run.steps->place(row) * H + unit, d_h, lanes);
        }
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
