// How the sequences of a call end, in memory of the call's own.
#pragma once

#include <vector>

#include "python/arrays.h"
#include "python/bindings.h"

namespace fastgru::python {

// Batch sizes and lengths decide where the core writes, and they are the caller's; so they are copied while the GIL
// is held, and only the copies are looked at.
class Batches {
  public:
    // Packed data of so many vectors: the sizes are int64 [T]. False where they cannot be read; an error where the
    // core cannot go by them.
    bool read_sizes(Arrays& arrays, nb::handle sizes, int64_t vectors);

    // Padded data of so many steps and rows: lengths are int64 [B], or None. Those of several models stand `shift`
    // bytes apart; 0: they share them. False where they cannot be read.
    bool read_lengths(Arrays& arrays, nb::handle lengths, int64_t steps, int64_t rows, ptrdiff_t models,
                      ptrdiff_t shift);

    // An error where lengths are out of range.
    Batch of_model(ptrdiff_t model) const;

  private:
    Batch batch_{};
    std::vector<int64_t> values_;
    ptrdiff_t shift_ = 0;
};

}  // namespace fastgru::python
