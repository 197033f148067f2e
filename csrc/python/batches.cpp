#include "python/batches.h"

namespace fastgru::python {

namespace {

// Whether the core can go by these sizes: never growing, at least 1, and as many as there are vectors.
bool are_batch_sizes(const std::vector<int64_t>& sizes, int64_t vectors) {
    if (sizes.empty()) return false;
    int64_t last = sizes[0], sum = 0;
    for (const int64_t size : sizes) {
        if (size < 1 || size > last || size > vectors - sum) return false;
        last = size;
        sum += size;
    }
    return sum == vectors;
}

// False where a length is not in 0 .. T. A full batch needs none.
bool put_lengths(Batch& batch, const int64_t* lengths) {
    int64_t least = batch.steps;
    for (ptrdiff_t b = 0; b < batch.rows; ++b) {
        if (lengths[b] < 0 || lengths[b] > batch.steps) return false;
        least = lengths[b] < least ? lengths[b] : least;
    }
    batch.lengths = least < batch.steps ? lengths : nullptr;
    return true;
}

}  // namespace

bool Batches::read_sizes(Arrays& arrays, nb::handle sizes, int64_t vectors) {
    ArrayView view;
    if (!arrays.read<int64_t>(sizes, view) || view.dims != 1 || !view.is_dense()) return false;
    const auto* first = static_cast<const int64_t*>(view.data);
    values_.assign(first, first + view.shape[0]);
    if (!are_batch_sizes(values_, vectors)) throw nb::value_error("batch sizes do not fit the data");
    batch_ = {.steps = view.shape[0], .rows = values_[0], .batch_sizes = values_.data()};
    return true;
}

bool Batches::read_lengths(Arrays& arrays, nb::handle lengths, int64_t steps, int64_t rows, ptrdiff_t models,
                           ptrdiff_t shift) {
    batch_ = {.steps = steps, .rows = rows};
    const int64_t* first;
    if (!arrays.read_optional(lengths, {rows}, first)) return false;
    if (first == nullptr) return true;
    shift_ = shift == 0 ? 0 : rows;
    for (ptrdiff_t i = 0; i < (shift == 0 ? 1 : models); ++i) {
        const int64_t* own = first + i * (shift / ptrdiff_t(sizeof(int64_t)));
        values_.insert(values_.end(), own, own + rows);
    }
    return true;
}

Batch Batches::of_model(ptrdiff_t model) const {
    Batch batch = batch_;
    const bool has_lengths = batch.batch_sizes == nullptr && !values_.empty();
    if (has_lengths && !put_lengths(batch, values_.data() + model * shift_))
        throw nb::value_error("lengths are not between 0 and the number of steps");
    return batch;
}

}  // namespace fastgru::python
