// The kernels of layers that reset before the product, n = tanh(W x + b + U (r * h)): what takes the place of the
// plain layer's at one level. Everything else, such as input projections and gradients of weights, is the same.
//
// Packed recurrent weights are [Hb][H][2][L] of r and z, and then [Hb][H][L] of n: a step needs the first of all
// units before it can use the second of any. Saved values are r, z, n, r * h. Gradients of sums have three groups
// of Hp, n, r, z, for both projections alike.
#pragma once

#include "shared/kernel_table.h"

namespace fastgru {

template <class T>
struct ResetBeforeKernels {
    // Rows r, z, n of a (3H, H) matrix to panels, for the hidden blocks [begin, end).
    void (*pack_hidden)(const T* weight, ptrdiff_t H, T* packed, ptrdiff_t begin, ptrdiff_t end);
    // As ForwardKernels. Projections of n have both biases. Threads that share rows wait twice in a step.
    void (*forward_steps)(const ForwardSteps<T>&);
    void (*forward_rows)(const ForwardSteps<T>&, ptrdiff_t rows);
    // The two passes of one step of few rows, with the parameters as the user has them: r, z and r * h of all units
    // between them go to what is saved, or else to `gated` [rows][2][H].
    void (*open_single_step)(const SingleStep<T>&, T* gated);
    void (*move_single_step)(const SingleStep<T>&, T* gated);
    // As Kernels, with rows n, r, z in the panels of weight_hh.
    void (*backward_steps)(const BackwardSteps<T>&);
};

struct ResetBeforeTable {
    ResetBeforeKernels<float> float32;
    ResetBeforeKernels<double> float64;
    // pack_hidden to panels of floats: there are no other kernels for parameters of 16 bits.
    void (*pack_bfloat16)(const BFloat16* weight, ptrdiff_t H, float* packed, ptrdiff_t begin, ptrdiff_t end);
    void (*pack_float16)(const Float16* weight, ptrdiff_t H, float* packed, ptrdiff_t begin, ptrdiff_t end);
};

template <class T>
FASTGRU_INLINE const ResetBeforeKernels<T>& reset_before_kernels(const KernelTable& table) {
    if constexpr (__is_same(T, float))
        return table.reset_before->float32;
    else
        return table.reset_before->float64;
}

template <class S>
FASTGRU_INLINE auto hidden_packer(const KernelTable& table) {
    if constexpr (__is_same(S, BFloat16))
        return table.reset_before->pack_bfloat16;
    else if constexpr (__is_same(S, Float16))
        return table.reset_before->pack_float16;
    else
        return reset_before_kernels<S>(table).pack_hidden;
}

// One definition per level, as of the tables that point to them.
namespace baseline {
extern const ResetBeforeTable reset_before_table;
}
namespace neon {
extern const ResetBeforeTable reset_before_table;
}
namespace avx2 {
extern const ResetBeforeTable reset_before_table;
}
namespace avx512 {
extern const ResetBeforeTable reset_before_table;
}

}  // namespace fastgru
