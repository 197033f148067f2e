// Arithmetic on sizes and indices.
#pragma once

#include <stddef.h>

#include "shared/inline.h"

namespace fastgru {

FASTGRU_INLINE constexpr ptrdiff_t min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
FASTGRU_INLINE constexpr ptrdiff_t max(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
FASTGRU_INLINE constexpr ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

}  // namespace fastgru
