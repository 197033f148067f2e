// Weights of 8 bits in panels: how they are rounded, and where each goes. Vectors with few values are not
// quantized, and the weights that multiply them stay floats.
#pragma once

#include <math.h>

#include "fastgru.h"
#include "host/threads.h"

namespace fastgru {

inline bool is_quantized(ptrdiff_t width) { return width >= kLeastQuantized; }

inline const Int8Kernels& int8_kernels_of(const ForwardKernels<float, Int8>& kernels) {
    return static_cast<const Int8Kernels&>(kernels);
}

inline Int8Layout layout_of(const Int8Kernels& kernels, ptrdiff_t K) {
    return {.K = K, .L = kernels.lanes, .group = kernels.group};
}

// A row of K weights, each rounded to a multiple of the row's scale, of two the even one.
struct Int8Row {
    float scale;
    int32_t sum = 0;  // of the integers

    // put(k, integer) gets them all. The row has no infinite value and no NaN.
    template <class Put>
    Int8Row(const float* weight, ptrdiff_t K, const Put& put) {
        float most = 1e-30f;  // what a quotient by it can bear
        for (ptrdiff_t k = 0; k < K; ++k) most = fabsf(weight[k]) > most ? fabsf(weight[k]) : most;
        scale = most / 127;
        constexpr float magic = 3 << 22;  // adding it rounds to an integer
        for (ptrdiff_t k = 0; k < K; ++k) {
            const int integer = int(weight[k] / scale + magic - magic);
            put(k, integer);
            sum += integer;
        }
    }
};

// Rows r, z, n of a (3H, K) matrix to the panels of the hidden blocks in `share`. Units past H are zero.
inline void pack_int8(const Int8Kernels& kernels, const float* weight, ptrdiff_t H, ptrdiff_t K, Int8* packed,
                      const Share& share) {
    const Int8Layout layout = layout_of(kernels, K);
    const ptrdiff_t L = layout.L, group = layout.group;
    for (ptrdiff_t block = share.begin; block < share.end; ++block) {
        Int8* panel = packed + block * layout.block_bytes();
        for (ptrdiff_t i = 0; i < layout.block_bytes(); ++i) panel[i] = {};
        float* scales = reinterpret_cast<float*>(panel + layout.weight_bytes());
        int32_t* offsets = reinterpret_cast<int32_t*>(scales + 3 * L);
        for (ptrdiff_t row = 0; row < 3 * L; ++row) {
            const ptrdiff_t gate = row / L, unit = block * L + row % L;
            if (unit >= H) continue;
            const Int8Row own(weight + (gate * H + unit) * K, K, [&](ptrdiff_t k, int integer) {
                panel[(k / group * 3 * L + row) * group + k % group].byte = int8_t(integer);
            });
            scales[row] = own.scale;
            offsets[row] = int32_t(-kernels.row_offset) * own.sum;
        }
    }
}

}  // namespace fastgru
