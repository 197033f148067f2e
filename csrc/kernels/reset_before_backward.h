// Backward kernels of layers that reset before the product. A step is two passes over its panels, with rows n, r,
// z: what arrives at the state from r and z of the later step gives the gradients of n and z, and those of n of all
// units give that of r * h, and so of r and, in part, of the state before.
#pragma once

#include "kernels/backward.h"

namespace fastgru::FASTGRU_LEVEL {

// The gradients of the sums of n and z, and the part of the state's that z passes on.
template <bool kAddsCarry, class T, class Lanes>
FASTGRU_INLINE void new_gate_gradients(const GradientVectors<T, Lanes>& part) {
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
            .r = {},
            .z = load_upto(saved + H, part.lanes),
            .n = load_upto(saved + 2 * H, part.lanes),
            .c_n = {},
        };
        const Vec<T> h = load_upto(part.rows.states[begin + i] + unit, part.lanes);
        const GateGradients<T> d = backward_cell<T>(gates, h, d_h);
        store(carry, d_h * gates.z);
        store(to, d.n);
        store(to + 2 * padded, d.z);
        sum += part.sum_stride, saved += 4 * H, carry += padded, to += run.gate_stride;
    }
}

// From the gradients of r * h, in the sums, to those of the sums of r; what r passes on is added to what z does.
template <class T, class Lanes>
FASTGRU_INLINE void reset_gate_gradients(const GradientVectors<T, Lanes>& part) {
    const BackwardSteps<T>& run = part.run;
    const ptrdiff_t H = run.hidden_size, padded = blocks_of<T>(H) * kLanes<T>, unit = part.unit, begin = part.begin;
    const T *saved = part.rows.saved + begin * 4 * H + unit, *sum = part.sums;
    T* carry = part.rows.carry + begin * padded + unit;
    T* to = part.rows.d_gates + begin * run.gate_stride + padded + unit;
    for (ptrdiff_t i = 0; i < part.count; ++i) {
        const Vec<T> p = load_upto(sum, part.lanes), r = load_upto(saved, part.lanes);
        const Vec<T> h = load_upto(part.rows.states[begin + i] + unit, part.lanes);
        store(carry, fma(r, p, load(carry)));
        store(to, backward_reset<T>(r, h, p));
        sum += part.sum_stride, saved += 4 * H, carry += padded, to += run.gate_stride;
    }
}

// The first pass, as PlainPass: of the later step's gradients only those of r and z go straight to the state.
struct StatePass {
    static constexpr ptrdiff_t kGroups = 2, kFirstGroup = 1;
    static constexpr bool kLooksAhead = true;
    FASTGRU_INLINE static bool multiplies(RowKind kind) { return kind != RowKind::last; }
    template <class T>
    FASTGRU_INLINE static const T* left(const GradientRows<T>& rows) {
        return rows.later_d_gates;
    }
    template <bool kAddsCarry, class T, class Lanes>
    FASTGRU_INLINE static void finish_gates(const GradientVectors<T, Lanes>& part) {
        new_gate_gradients<kAddsCarry>(part);
    }
    template <class T, class Lanes>
    FASTGRU_INLINE static void finish(const GradientVectors<T, Lanes>& part) {
        finish_states<StatePass>(part);
    }
};

// The second, of the gradients of n that the first has left.
struct ResetPass {
    static constexpr ptrdiff_t kGroups = 1, kFirstGroup = 0;
    static constexpr bool kLooksAhead = false;
    FASTGRU_INLINE static bool multiplies(RowKind) { return true; }
    template <class T>
    FASTGRU_INLINE static const T* left(const GradientRows<T>& rows) {
        return rows.d_gates;
    }
    template <class T, class Lanes>
    FASTGRU_INLINE static void finish(const GradientVectors<T, Lanes>& part) {
        reset_gate_gradients(part);
    }
};

// ResetBeforeKernels::backward_steps
template <class T>
void reset_before_steps_back(const BackwardSteps<T>& run) {
    steps_back<StatePass, T>(run, [&](const EqualParts& panels, const BackwardPlace<T>& place, ptrdiff_t rows) {
        run.barrier->wait(run.threads);
        backward_rows<ResetPass, T>(run, panels, place, RowKind::inner, run.row_begin, rows);
    });
}

}  // namespace fastgru::FASTGRU_LEVEL
