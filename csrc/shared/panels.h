// How columns of a matrix are divided into panels: one after another, each as many vectors as a register tile is
// wide, so that vector v of a matrix of `rows` rows begins at value v * rows * L if a panel begins with it.
#pragma once

#include <stddef.h>

#include "shared/inline.h"
#include "shared/integer_math.h"

namespace fastgru {

// The widest panel beside a full tile's rows.
constexpr ptrdiff_t kPanelVectors = 3;

// The widest panel of a matrix that at most so many rows are multiplied with: fewer rows need more columns, to have
// enough sums in flight.
constexpr ptrdiff_t kMostPanelVectors = 8;
FASTGRU_INLINE constexpr ptrdiff_t panel_vectors(ptrdiff_t rows) {
    return rows == 1 ? kMostPanelVectors : rows == 2 ? 4 : kPanelVectors;
}

// [begin, end) in parts of about equal counts, none larger than `most`; those that are one larger come first.
struct EqualParts {
    struct Part {
        ptrdiff_t begin, count;
    };
    ptrdiff_t begin, parts, least, larger;

    FASTGRU_INLINE constexpr EqualParts(ptrdiff_t from, ptrdiff_t to, ptrdiff_t most)
        : begin(from), parts(1), least(to - from), larger(0) {
        if (to - from <= most) return;  // a division takes long
        parts = ceil_div(to - from, most);
        least = (to - from) / parts;
        larger = to - from - least * parts;
    }
    FASTGRU_INLINE constexpr Part operator[](ptrdiff_t i) const {
        return {begin + i * least + min(i, larger), least + (i < larger)};
    }
    // visit(begin, count) for each part that is not empty.
    template <class Visit>
    FASTGRU_INLINE void for_each(Visit&& visit) const {
        for (ptrdiff_t i = 0; i < parts && least > 0; ++i) visit((*this)[i].begin, (*this)[i].count);
    }
};

}  // namespace fastgru
