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
// A team that is awake forks and joins in about a microsecond; one that sleeps takes 45 to 85 to wake. But between
// two calls here torch often uses the same threads, which nothing tells, and then they are awake.
constexpr double kStartRows = 30, kStartRowsAwake = 4;
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

// Threads that divide the results of a product by so many rows, and by so many columns.
struct Division {
    int by_rows, by_columns;

    Share rows(ptrdiff_t total, int part) const { return Share(total, part / by_columns, by_rows); }
    Share columns(ptrdiff_t total, int part) const { return Share(total, part % by_columns, by_columns); }
};

// The division with the least work for the busiest thread, where each row and each column of a part costs something
// beside the products: each thread packs for itself what it reads, so that nothing has to come from another's
// cache. Columns come in vectors, and rows as long as so many of them.
inline Division divided(ptrdiff_t rows, double per_row, ptrdiff_t columns, double per_column, int threads) {
    Division best{1, threads};
    double least = 0;
    for (int by_rows = 1; by_rows <= threads; ++by_rows) {
        if (threads % by_rows != 0) continue;
        const int by_columns = threads / by_rows;
        const double height = double(ceil_div(rows, by_rows)), width = double(ceil_div(columns, by_columns));
        const double most = height * width + height * per_row + width * per_column;
        if (by_rows == 1 || most < least) best = {by_rows, by_columns}, least = most;
    }
    return best;
}

}  // namespace fastgru
