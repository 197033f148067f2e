// How functions are compiled that host and kernels share, or that hold a tile.
#pragma once

// Shared code that is compiled for several instruction-set levels must never exist out of line: the linker would
// keep one copy, perhaps of a level that this machine lacks.
#define FASTGRU_INLINE inline __attribute__((always_inline))
// The same for a lambda: [&](auto i) FASTGRU_INLINED { ... }. Left out of line, it would take its tile by
// reference, and accumulators would live in memory.
#define FASTGRU_INLINED __attribute__((always_inline))
// A tile: alone in its function, so that registers are given out for it alone.
#define FASTGRU_TILE __attribute__((noinline))
