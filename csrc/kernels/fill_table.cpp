// Fills one KernelTable. Compiled once per instruction-set level (CMakeLists.txt).
#include "shared/kernel_table.h"

#include "kernels/backward.h"
#include "kernels/forward.h"
#include "kernels/gradients.h"
#include "kernels/machine_limits.h"
#include "kernels/tangents.h"

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
    return {kLanes<T>,           kTileRows,          pack_gates<S, S>, project<T, S>,
            forward_steps<T, S>, forward_rows<T, S>, single_step<T, S>};
}

template <class T>
constexpr Kernels<T> kernels() {
    return {forward_kernels<T>(), pack_rows<T>,     backward_steps<T>, input_gradient<T>,
            weight_gradient<T>,   bias_gradient<T>, tangent_steps<T>,  tangent_back_steps<T>,
            sigmoid_all<T>,       tanh_all<T>,      fma_chains<T>,     read_all<T>};
}

template <class S>
constexpr HalfKernels<S> half_kernels() {
    return {forward_kernels<S>(), pack_gates<S, float>, convert_all<S, float>, convert_all<float, S>};
}

#define FASTGRU_STRING(name) #name
#define FASTGRU_NAME(level) FASTGRU_STRING(level)
extern const KernelTable table{FASTGRU_NAME(FASTGRU_LEVEL), kernels<float>(), kernels<double>(),
                               half_kernels<BFloat16>(), half_kernels<Float16>()};

}  // namespace fastgru::FASTGRU_LEVEL
