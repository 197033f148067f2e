// The elementwise part of a backward step: from the gradient of a state, of which tiles leave one part in scratch,
// to those of the sums inside the activations. The twin of gates.h.
#pragma once

#include "kernels/equations.h"
#include "kernels/pack_panels.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

// What rows are at one step.
enum class RowKind {
    inner,  // gradient arrives from the later step, and goes on
    last,   // the sequence's last step: gradient arrives from h_n
    first,  // the later step was the sequence's first: gradient goes to h_0
};

// One step's place in memory; `later` is the step processed before this one.
template <class T>
struct BackwardPlace {
    ptrdiff_t t;             // this step; outside the sequence when only rows that end here are left
    ptrdiff_t later;         // its time
    const T* later_d_gates;  // of batch row 0 at the later step, from group r on
};

// Rows whose vectors are looked up together, once for a step.
constexpr ptrdiff_t kGradientRows = 32;

// Some batch rows of one step, all of one kind, and where their vectors are.
template <class T>
struct GradientRows {
    RowKind kind;
    ptrdiff_t later;         // time of the later step
    ptrdiff_t begin, count;  // batch rows
    const T* later_d_gates;  // [count], gate_stride apart
    T* carry;                // [count][Hp]
    // Of this step; not set for rows of the kind `first`.
    const T* saved;                     // [count][4][H]
    T* d_gates;                         // [count], gate_stride apart
    const T* states[kGradientRows];     // [count]: before the step
    const T* d_outputs[kGradientRows];  // [count]; not set where there are none
    // From here to the same of the step that is processed next; of several rows.
    ptrdiff_t saved_ahead = 0, state_ahead = 0, output_ahead = 0;
};

// How far `next` is from t in a sequence, in values.
template <class T>
FASTGRU_INLINE ptrdiff_t distance(const Sequence<T>& sequence, const Steps& steps, ptrdiff_t t, ptrdiff_t next) {
    return sequence.is_flat ? (steps.first_row[next] - steps.first_row[t]) * sequence.row_stride
                            : (next - t) * sequence.step_stride;
}

template <class T>
FASTGRU_INLINE void look_ahead(const BackwardSteps<T>& run, ptrdiff_t t, GradientRows<T>& rows) {
    const Steps& steps = *run.steps;
    const ptrdiff_t next = max(0, min(run.is_reverse ? t + 1 : t - 1, steps.count - 1));
    rows.saved_ahead = (steps.first_row[next] - steps.first_row[t]) * 4 * run.hidden_size;
    rows.state_ahead = distance(run.output, steps, t, next);
    rows.output_ahead = distance(run.d_output, steps, t, next);
}

template <class T>
FASTGRU_INLINE GradientRows<T> gradient_rows(const BackwardSteps<T>& run, const BackwardPlace<T>& place,
                                             RowKind kind, ptrdiff_t begin, ptrdiff_t count) {
    GradientRows<T> rows;
    rows.kind = kind;
    rows.later = place.later;
    rows.begin = begin;
    rows.count = count;
    rows.later_d_gates = place.later_d_gates + begin * run.gate_stride;
    rows.carry = run.carry + begin * blocks_of<T>(run.hidden_size) * kLanes<T>;
    if (kind == RowKind::first) return rows;
    const ptrdiff_t flat = run.steps->first_row[place.t] + begin;
    rows.saved = run.saved + (flat - run.saved_first_row) * 4 * run.hidden_size;
    rows.d_gates = run.d_gates + (flat - run.first_row) * run.gate_stride;
    if (count > 1) look_ahead(run, place.t, rows);
    for (ptrdiff_t i = 0; i < count; ++i) {
        rows.states[i] = state_before<T>(run, place.t, begin + i);
        if (run.d_output.data != nullptr) rows.d_outputs[i] = run.d_output.at(*run.steps, place.t, begin + i);
    }
    return rows;
}

// Rows [begin, begin + count) of these in one hidden block of `lanes` lanes, an Index if all: then nothing asks
// again vector for vector.
template <class T, class Lanes>
struct GradientVectors {
    const BackwardSteps<T>& run;
    const GradientRows<T>& rows;
    ptrdiff_t begin, count, unit;
    Lanes lanes;
    T* sums;  // [count], sum_stride apart: what arrives from the gates of the later step
    ptrdiff_t sum_stride;
};

// Adds `d_h`, the gradient of a state that a reset put in, to that of the reset's own; none of it goes on.
template <class T, class Lanes>
FASTGRU_INLINE void divert_to_resets(const GradientVectors<T, Lanes>& part) {
    const BackwardSteps<T>& run = part.run;
    for (ptrdiff_t i = 0; i < part.count; ++i) {
        const ptrdiff_t row = part.rows.begin + part.begin + i;
        if (!is_reset(run, part.rows.later, row)) continue;
        T* sum = part.sums + i * part.sum_stride;
        if (run.d_reset != nullptr) {
            T* to = run.d_reset + run.steps->place(row) * run.hidden_size + part.unit;
            store_upto(to, load_upto(to, part.lanes) + load(sum), part.lanes);
        }
        store(sum, Vec<T>{});
    }
}

// What arrives at the state after the step, in place of the sums.
template <class T, class Lanes>
FASTGRU_INLINE void state_gradients(const GradientVectors<T, Lanes>& part) {
    const BackwardSteps<T>& run = part.run;
    const ptrdiff_t H = run.hidden_size, padded = blocks_of<T>(H) * kLanes<T>;
    T* sum = part.sums;
    if (part.rows.kind == RowKind::last) {
        for (ptrdiff_t i = 0; i < part.count; ++i, sum += part.sum_stride) {
            const ptrdiff_t place = run.steps->place(part.rows.begin + part.begin + i);
            store(sum, run.d_h_n == nullptr ? Vec<T>{} : load_upto(run.d_h_n + place * H + part.unit, part.lanes));
        }
        return;
    }
    const T* carry = part.rows.carry + part.begin * padded + part.unit;
    for (ptrdiff_t i = 0; i < part.count; ++i, sum += part.sum_stride, carry += padded)
        store(sum, load_upto(sum, part.lanes) + load(carry));
    if (run.resets.marks != nullptr) divert_to_resets(part);
}

// Those of rows that begin at the later step are the gradients of h_0.
template <class T, class Lanes>
FASTGRU_INLINE void start_gradients(const GradientVectors<T, Lanes>& part) {
    const BackwardSteps<T>& run = part.run;
    if (run.d_h_0 == nullptr) return;
    for (ptrdiff_t i = 0; i < part.count; ++i) {
        const ptrdiff_t place = run.steps->place(part.rows.begin + part.begin + i);
        store_upto(run.d_h_0 + place * run.hidden_size + part.unit, load(part.sums + i * part.sum_stride),
                   part.lanes);
    }
}

// The gradients of the gates' sums. Where nothing else happens to it, what the step carried is added here to what
// arrives from the gates.
template <bool kAddsCarry, class T, class Lanes>
FASTGRU_INLINE void gate_gradients(const GradientVectors<T, Lanes>& part) {
    const BackwardSteps<T>& run = part.run;
    const ptrdiff_t H = run.hidden_size, padded = blocks_of<T>(H) * kLanes<T>, unit = part.unit, begin = part.begin;
    const bool has_output = run.d_output.data != nullptr;
    const T *saved = part.rows.saved + begin * 4 * H + unit, *sum = part.sums;
    T* carry = part.rows.carry + begin * padded + unit;
    T* to = part.rows.d_gates + begin * run.gate_stride + unit;
    for (ptrdiff_t i = 0; i < part.count; ++i) {
        Vec<T> d_h = kAddsCarry ? load_upto(sum, part.lanes) + load(carry) : load(sum);
        if (has_output) d_h += load_upto(part.rows.d_outputs[begin + i] + unit, part.lanes);
        const Gates<T> gates{
            .r = load_upto(saved, part.lanes),
            .z = load_upto(saved + H, part.lanes),
            .n = load_upto(saved + 2 * H, part.lanes),
            .c_n = load_upto(saved + 3 * H, part.lanes),
        };
        const Vec<T> h = load_upto(part.rows.states[begin + i] + unit, part.lanes);
        const GateGradients<T> d = backward_cell<T>(gates, h, d_h);
        store(carry, d_h * gates.z);
        store(to, d.n);
        store(to + padded, d.r);
        store(to + 2 * padded, d.z);
        store(to + 3 * padded, d.rn);
        sum += part.sum_stride, saved += 4 * H, carry += padded, to += run.gate_stride;
    }
}

// Fetches to the level-2 cache, while products run, what `finish_tile` will read at the next step in the same
// place: it comes from far caches, in an order that nothing but the program knows. Where rows end or begin, this
// may miss.
template <class T>
FASTGRU_INLINE void prefetch_next_step(const BackwardSteps<T>& run, const GradientRows<T>& rows, ptrdiff_t begin,
                                       ptrdiff_t count, ptrdiff_t block, ptrdiff_t blocks) {
    constexpr ptrdiff_t L = kLanes<T>, line = 64 / ptrdiff_t(sizeof(T));
    if (rows.kind == RowKind::first) return;
    const ptrdiff_t H = run.hidden_size, first = block * L, last = min(H, first + blocks * L);
    const bool has_output = run.d_output.data != nullptr;
    for (ptrdiff_t i = begin; i < begin + count; ++i) {
        const T *saved = rows.saved + i * 4 * H + rows.saved_ahead, *state = rows.states[i] + rows.state_ahead;
        for (ptrdiff_t unit = first; unit < last; unit += line) {
            unroll<4>([&](auto gate) FASTGRU_INLINED { __builtin_prefetch(saved + gate * H + unit, 0, 2); });
            __builtin_prefetch(state + unit, 0, 2);
            if (has_output) __builtin_prefetch(rows.d_outputs[i] + rows.output_ahead + unit, 0, 2);
        }
    }
}

// From the sums that arrive at states to the gradients of the gates of the step before, or to those of h_0.
template <class Pass, class T, class Lanes>
FASTGRU_INLINE void finish_states(const GradientVectors<T, Lanes>& part) {
    if (part.rows.kind == RowKind::inner && part.run.resets.marks == nullptr)
        return Pass::template finish_gates<true>(part);
    state_gradients(part);
    if (part.rows.kind == RowKind::first)
        start_gradients(part);
    else
        Pass::template finish_gates<false>(part);
}

// All of it for rows [begin, begin + count) and `blocks` hidden blocks from `block` on; sums are
// [count][blocks][L].
template <class Pass, class T>
FASTGRU_INLINE void finish_tile(const BackwardSteps<T>& run, const GradientRows<T>& rows, ptrdiff_t begin,
                                ptrdiff_t count, ptrdiff_t block, ptrdiff_t blocks, T* sums) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t n = 0; n < blocks; ++n) {
        const ptrdiff_t unit = (block + n) * L;
        const auto pass = [&](auto lanes) FASTGRU_INLINED {
            const GradientVectors<T, decltype(lanes)> part{run,  rows,  begin,        count,
                                                           unit, lanes, sums + n * L, blocks * L};
            Pass::finish(part);
        };
        if (run.hidden_size - unit >= L)
            pass(Index<L>{});
        else
            pass(int(run.hidden_size - unit));
    }
}

// The same as one function for all tiles.
template <class Pass, class T>
FASTGRU_TILE void finish_rows(const BackwardSteps<T>& run, const GradientRows<T>& rows, ptrdiff_t begin,
                              ptrdiff_t count, ptrdiff_t block, ptrdiff_t blocks, T* sums) {
    finish_tile<Pass, T>(run, rows, begin, count, block, blocks, sums);
}

}  // namespace fastgru::FASTGRU_LEVEL
