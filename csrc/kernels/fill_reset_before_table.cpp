// Fills one ResetBeforeTable. Compiled once per instruction-set level (CMakeLists.txt).
#include "kernels/reset_before.h"
#include "kernels/reset_before_backward.h"
#include "kernels/reset_before_step.h"

namespace fastgru::FASTGRU_LEVEL {

template <class T>
constexpr ResetBeforeKernels<T> reset_before_kernels() {
    return {
        .pack_hidden = pack_hidden<T>,
        .forward_steps = reset_before_steps<T>,
        .forward_rows = reset_before_rows<T>,
        .open_single_step = open_single_step<T>,
        .move_single_step = move_single_step<T>,
        .backward_steps = reset_before_steps_back<T>,
    };
}

extern constinit const ResetBeforeTable reset_before_table{
    .float32 = reset_before_kernels<float>(),
    .float64 = reset_before_kernels<double>(),
    .pack_bfloat16 = pack_hidden<BFloat16>,
    .pack_float16 = pack_hidden<Float16>,
};

}  // namespace fastgru::FASTGRU_LEVEL
