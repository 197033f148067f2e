// Fills the kernels of 8-bit weights. Compiled for the levels that multiply such integers each in its own way
// (CMakeLists.txt).
#include "kernels/forward.h"
#include "kernels/int8_forward.h"

namespace fastgru::FASTGRU_LEVEL {

constexpr Int8Kernels int8_kernels_of_level() {
    Int8Kernels filled{};
    filled.lanes = kLanes<float>;
    filled.tile_rows = kInt8TileRows;
    filled.forward_steps = int8_forward_steps;
    filled.group = kDotGroup;
    filled.row_value_bytes = sizeof(RowValue);
    filled.row_offset = kRowOffset;
    filled.quantize = quantize;
    filled.project_quantized = project_quantized;
    filled.pack_floats = pack_gates<float, float>;
    filled.project_floats = project<float, float>;
    return filled;
}

extern constinit const Int8Kernels int8_table = int8_kernels_of_level();

}  // namespace fastgru::FASTGRU_LEVEL
