// The arguments of the kernels of tangents and second derivatives.
#pragma once

#include <stddef.h>

namespace fastgru {

// One direction of one layer and a tangent to it, in its own order of steps, row-major without gaps. Tangents are
// named d_; where one is null, it is zero.
template <class T>
struct TangentSteps {
    ptrdiff_t steps, rows, hidden_size;  // T, B, H
    ptrdiff_t row_begin, row_end;
    const unsigned char* alive;  // [T][B]: elsewhere a step leaves the state as it is; null: everywhere
    const T *weight, *d_weight;  // of the hidden projection: [Hb][H][3][L]
    const T *bias, *d_bias;      // [3][H], of the hidden projection; null: none
    const T *a, *d_a;            // [T][B][3][H]: projected inputs
    // [B][H]: the first state, and its tangent, whose rows stand d_start_stride apart. Neither is null.
    const T *start, *d_start;
    ptrdiff_t d_start_stride;
    T *states, *d_states;  // [T][B][H]: results
    T* gates;              // [T][B][8][H]: r, z, n, c_n and their tangents: for the way back
};

// The way back: the gradients of the sums, and how they move along the tangent. Gradients are named g_.
template <class T>
struct TangentBackSteps {
    const TangentSteps<T>* there;    // results and all; its weights are not read
    const T *weight, *d_weight;      // [panel][3H][W][L]
    const T *g_states, *d_g_states;  // [T][B][H]: from outside
    T* carry;                        // [B][2][Hp], scratch
    T *g_a, *d_g_a, *g_c, *d_g_c;    // [T][B][3][H]: of the projected inputs, and of the hidden projection
    T* d_g_start;                    // [B][H]
};

}  // namespace fastgru
