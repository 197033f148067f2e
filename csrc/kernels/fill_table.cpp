// Fills one KernelTable. Compiled once per instruction-set level (CMakeLists.txt).
#include "shared/kernel_table.h"

#include "kernels/backward.h"
#include "kernels/forward.h"
#include "kernels/gradients.h"
#include "kernels/machine_limits.h"
#include "kernels/single_step.h"
#include "kernels/small_layer.h"
#include "kernels/tangents.h"
#include "shared/reset_before_table.h"
#include "shared/row_kernels.h"

namespace fastgru::FASTGRU_LEVEL {

template <class X, class Y, class Function>
FASTGRU_INLINE void elementwise(const X* x, Y* y, ptrdiff_t n, Function function) {
    constexpr int L = kLanes<Sum<X>>;
    for (ptrdiff_t i = 0; i < n; i += L) {
        const int lanes = int(min(L, n - i));
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

template <class X, class Y>
void convert_all(const X* x, Y* y, ptrdiff_t n) {
    elementwise(x, y, n, [](Vec<float> v) FASTGRU_INLINED { return v; });
}

template <class S, class T = Sum<S>>
constexpr ForwardKernels<T, S> forward_kernels() {
    return {
        .lanes = kLanes<T>,
        .tile_rows = kRowsOf<S>,
        .small_rows = kSmallRows<S>,
        .pack_gates = pack_gates<S, S>,
        .project = project<T, S>,
        .forward_steps = forward_steps<T, S>,
        .forward_rows = forward_rows<T, S>,
        .single_step = single_step<T, S>,
    };
}

template <class T>
constexpr Kernels<T> kernels() {
    Kernels<T> filled{};
    static_cast<ForwardKernels<T>&>(filled) = forward_kernels<T>();
    if constexpr (kSmallRows<T> > 0) filled.small_layer = small_layer<T>;
    filled.pack_rows = pack_rows<T>;
    filled.backward_steps = backward_steps<T>;
    filled.input_gradient = input_gradient<T>;
    filled.weight_gradient = weight_gradient<T>;
    filled.bias_gradient = bias_gradient<T>;
    filled.tangent_steps = tangent_steps<T>;
    filled.tangent_back_steps = tangent_back_steps<T>;
    filled.sigmoid = sigmoid_all<T>;
    filled.tanh = tanh_all<T>;
    filled.fma_chains = fma_chains<T>;
    filled.read_all = read_all<T>;
    return filled;
}

template <class S>
constexpr HalfKernels<S> half_kernels() {
    HalfKernels<S> filled{};
    static_cast<ForwardKernels<float, S>&>(filled) = forward_kernels<S>();
    filled.widens_fast = kIsTuned;  // elsewhere, float16 has no instructions, and bfloat16 gains nothing
    filled.widen_panels = widen_panels<S>;
    filled.pack_wide = pack_gates<S, float>;
    filled.pack_narrow = pack_gates<float, S>;
    filled.widen = convert_all<S, float>;
    filled.narrow = convert_all<float, S>;
    return filled;
}

#define FASTGRU_STRING(name) #name
#define FASTGRU_NAME(level) FASTGRU_STRING(level)
extern constinit const KernelTable table{
    .name = FASTGRU_NAME(FASTGRU_LEVEL),
    .float32 = kernels<float>(),
    .float64 = kernels<double>(),
    .bfloat16 = half_kernels<BFloat16>(),
    .float16 = half_kernels<Float16>(),
    .reset_before = &reset_before_table,
    .rows = &row_table,
};

}  // namespace fastgru::FASTGRU_LEVEL
