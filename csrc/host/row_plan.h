// How many threads take a row-wise operation, and what each of them does: arithmetic on sizes.
#pragma once

#include "host/threads.h"
#include "shared/integer_math.h"

namespace fastgru {

// Products and what they read come as fast as those of a layer's step (host/plan.cpp); microseconds.
constexpr double kProductsPerMicrosecond = 5e4;  // of float
// Few rows do not fill the multipliers.
constexpr double kLeastProductRows = 2.1;
// Values of float that functions make, by what they cost: straight lines, and polynomials.
constexpr double kLinesPerMicrosecond = 8e3, kCurvesPerMicrosecond = 1.5e3;
// A team that is awake forks and joins in about a microsecond; one that sleeps takes 45 to 85 to wake.
constexpr double kStartRows = 100, kStartRowsAwake = 4;
constexpr double kStartRowsEach = 1, kStartRowsEachAwake = 0.1;

// The number of threads, at most `most`, for work that takes one so long.
inline int threads_for_rows(double microseconds, int most, bool is_awake) {
    int best = 1;
    double least = microseconds;
    for (int threads = 2; threads <= most; ++threads) {
        const double start = is_awake ? kStartRowsAwake + kStartRowsEachAwake * (threads - 2)
                                      : kStartRows + kStartRowsEach * (threads - 2);
        const double estimate = microseconds / threads + start;
        if (estimate < least) best = threads, least = estimate;
    }
    return best;
}

// Threads that divide a matrix of `rows` by so many columns, or vectors of them.
struct Division {
    int by_rows, by_columns;

    Share rows(ptrdiff_t total, int thread) const { return Share(total, thread / by_columns, by_rows); }
    Share columns(ptrdiff_t total, int thread) const { return Share(total, thread % by_columns, by_columns); }
};

// The one with the smallest part for the busiest thread; of equal ones that with the fewest parts of rows, each of
// which reads all weights of its columns. Rows come in tiles.
inline Division divided(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t tile_rows, int threads) {
    Division best{1, threads};
    double least = -1;
    for (int by_rows = 1; by_rows <= threads; ++by_rows) {
        if (threads % by_rows != 0) continue;
        const ptrdiff_t part = ceil_div(rows, by_rows), tiles = by_rows == 1 ? 1 : ceil_div(part, tile_rows);
        const double row_part = by_rows == 1 ? double(rows) : double(min(part, tiles * tile_rows));
        const double most = row_part * double(ceil_div(columns, threads / by_rows));
        if (least >= 0 && most >= 0.95 * least) continue;
        least = most;
        best = {by_rows, threads / by_rows};
    }
    return best;
}

}  // namespace fastgru
