#include "python/read_addresses.h"

namespace fastgru::python {

namespace {

// Whether the core can go by these sizes: never growing, at least 1, and as many as there are vectors.
bool are_batch_sizes(const std::vector<int64_t>& sizes, ptrdiff_t rows, ptrdiff_t vectors) {
    int64_t last = rows, sum = 0;
    for (const int64_t size : sizes) {
        if (size < 1 || size > last) return false;
        last = size;
        sum += size;
    }
    return !sizes.empty() && sizes[0] == rows && sum == vectors;
}

}  // namespace

OwnBatches::OwnBatches(const BatchArgument& batch, ptrdiff_t models, ptrdiff_t shift) {
    const auto [steps, rows, vectors, batch_sizes, lengths] = batch;
    batch_ = {.steps = steps, .rows = rows};
    if (batch_sizes != 0) {
        values_.assign(at<const int64_t>(batch_sizes), at<const int64_t>(batch_sizes) + steps);
        if (!are_batch_sizes(values_, rows, vectors)) throw nb::value_error("batch sizes do not fit the data");
        batch_.batch_sizes = values_.data();
    }
    if (lengths != 0) {
        for (ptrdiff_t i = 0; i < (shift == 0 ? 1 : models); ++i) {
            const int64_t* first = at<const int64_t>(lengths) + i * (shift / ptrdiff_t(sizeof(int64_t)));
            values_.insert(values_.end(), first, first + rows);
        }
        shift_ = shift == 0 ? 0 : rows;
    }
}

Batch OwnBatches::of_model(ptrdiff_t model) const {
    Batch batch = batch_;
    const bool has_lengths = batch.batch_sizes == nullptr && !values_.empty();
    if (has_lengths && !bound(batch, values_.data() + model * shift_))
        throw nb::value_error("lengths are not between 0 and the number of steps");
    return batch;
}

}  // namespace fastgru::python
