// Fills one RowTable. Compiled once per instruction-set level (CMakeLists.txt).
#include "kernels/linear_gradients.h"
#include "kernels/linear_rows.h"
#include "kernels/row_sums.h"

namespace fastgru::FASTGRU_LEVEL {

template <class T>
constexpr RowKernels<T> filled_row_kernels() {
    return {
        .lanes = kLanes<T>,
        .pack_linear = pack_linear<T>,
        .linear = linear<T>,
        .linear_unpacked = linear_unpacked<T>,
        .linear_input_gradient = linear_input_gradient<T>,
        .linear_weight_gradient = linear_weight_gradient<T>,
        .linear_bias_gradient = linear_bias_gradient<T>,
        .activate = activate<T>,
        .combine = combine<T>,
        .softmax = softmax<T>,
        .log_softmax = log_softmax<T>,
        .normalize = normalize<T>,
    };
}

extern constinit const RowTable row_table{
    .float32 = filled_row_kernels<float>(),
    .float64 = filled_row_kernels<double>(),
};

}  // namespace fastgru::FASTGRU_LEVEL
