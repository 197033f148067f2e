// Torch tensors as arguments of the core: read where they are as plain as nearly all are, and made for results.
//
// Tensors belong to the caller, who may have other threads. What they say is looked at once, under the GIL, and
// their memory is held from then on: other threads may run already when the next tensor is asked. What decides
// where the core writes (lengths) is copied.
#pragma once

#include <vector>

#include "python/bindings.h"
#include "python/dlpack_tensors.h"

namespace fastgru::python {

extern tensors::Tensors torch_tensors;

// The tensors of one call, and what the call has to keep of them.
class Arguments {
  public:
    template <class T>
    bool read(nb::handle object, tensors::DLTensor& tensor) {
        nb::object storage;
        if (!torch_tensors.describe<T>(object, tensor, storage)) return false;
        if (count_ < kFew)
            few_[count_++] = std::move(storage);
        else
            more_.push_back(std::move(storage));
        return true;
    }

    // A copy of lengths that nobody else can change.
    const int64_t* copy(const int64_t* lengths, ptrdiff_t count) {
        lengths_.assign(lengths, lengths + count);
        return lengths_.data();
    }

  private:
    static constexpr int kFew = 8;  // of a layer of one cell, without memory for the list of them

    int count_ = 0;
    nb::object few_[kFew];
    std::vector<nb::object> more_;
    std::vector<int64_t> lengths_;
};

// Parameters as they are, when all are plain, dense and of the sizes that the core was made for.
template <class T>
bool read_parameters(Arguments& arguments, const LayerSizes& sizes, nb::handle parameters, Cell<T>* cells) {
    if (!PyTuple_CheckExact(parameters.ptr())) return false;
    const int64_t H = sizes.spec.hidden_size;
    const ptrdiff_t per_cell = sizes.tensors_per_cell();
    if (PyTuple_GET_SIZE(parameters.ptr()) != sizes.spec.cells() * per_cell) return false;
    for (ptrdiff_t i = 0; i < sizes.spec.cells() * per_cell; ++i) {
        tensors::DLTensor tensor;
        if (!arguments.read<T>(PyTuple_GET_ITEM(parameters.ptr(), i), tensor)) return false;
        const ptrdiff_t cell = i / per_cell, kind = i % per_cell;
        const int64_t columns = kind == 0 ? sizes.spec.width(cell / sizes.spec.num_directions) : H;
        if (kind < 2 ? !tensors::is_dense(tensor, {3 * H, columns}) : !tensors::is_dense(tensor, {3 * H}))
            return false;
        const T* data = static_cast<const T*>(tensor.data);
        if (kind == 0)
            cells[cell] = {.weight_ih = data, .weight_hh = nullptr, .bias_ih = nullptr, .bias_hh = nullptr};
        if (kind == 1) cells[cell].weight_hh = data;
        if (kind == 2) cells[cell].bias_ih = data;
        if (kind == 3) cells[cell].bias_hh = data;
    }
    return true;
}

// (T, B, features), or (B, T, features), with the values of a vector side by side.
template <class T>
bool read_sequence(Arguments& arguments, nb::handle object, int64_t features, bool batch_first,
                   Sequence<const T>& sequence, Batch& batch) {
    tensors::DLTensor tensor;
    if (!arguments.read<T>(object, tensor) || tensor.ndim != 3) return false;
    const int time = batch_first ? 1 : 0, row = 1 - time;
    if (tensor.shape[0] == 0 || tensor.shape[1] == 0 || tensor.shape[2] != features) return false;
    if (tensor.strides[2] != 1 && features != 1) return false;
    sequence = {
        .data = static_cast<const T*>(tensor.data),
        .row_stride = tensor.strides[row],
        .step_stride = tensor.strides[time],
        .is_flat = false,
    };
    batch = {.steps = tensor.shape[time], .rows = tensor.shape[row]};
    return true;
}

// The input, which says how long the call will be.
template <class Call>
bool read_input(Arguments& arguments, nb::handle object, bool batch_first, Call& call) {
    return read_sequence(arguments, object, call.spec.input_size, batch_first, call.input, call.batch);
}

// Where the vectors of a dense (T, B, features) lie, or of (B, T, features).
template <class T>
Sequence<T> dense_sequence(T* data, const Batch& batch, int64_t features, bool batch_first) {
    return {
        .data = data,
        .row_stride = batch_first ? batch.steps * features : features,
        .step_stride = batch_first ? features : batch.rows * features,
        .is_flat = false,
    };
}

// A dense tensor of this shape, or None, which leaves `data` null.
template <class T, size_t N>
bool read_optional(Arguments& arguments, nb::handle object, const int64_t (&shape)[N], const T*& data) {
    data = nullptr;
    if (object.is_none()) return true;
    tensors::DLTensor tensor;
    if (!arguments.read<T>(object, tensor) || !tensors::is_dense(tensor, shape)) return false;
    data = static_cast<const T*>(tensor.data);
    return true;
}

// What a training forward leaves, dense and of `needed` values or more; or None, which leaves `data` null.
template <class T>
bool read_saved(Arguments& arguments, nb::handle object, size_t needed, T*& data) {
    data = nullptr;
    if (object.is_none()) return true;
    tensors::DLTensor tensor;
    if (!arguments.read<std::remove_const_t<T>>(object, tensor) || tensor.ndim != 1) return false;
    if (!tensors::is_dense(tensor, {tensor.shape[0]}) || size_t(tensor.shape[0]) < needed) return false;
    data = static_cast<T*>(tensor.data);
    return true;
}

template <class T, size_t N>
nb::object make(int64_t (&shape)[N], T*& data) {
    static_assert(N >= 1 && N <= tensors::kMostDimensions);
    void* at;
    nb::object tensor = torch_tensors.make(tensors::kType<T>, N, shape, at);
    data = static_cast<T*>(at);
    return tensor;
}

// How the sequences of a call end and where they start anew; each part may be None.
struct SequenceArguments {
    nb::handle lengths, reset, reset_state;
};

// False where lengths are no dense int64 of this batch, or out of range.
inline bool read_lengths(Arguments& arguments, nb::handle object, Batch& batch) {
    if (object.is_none()) return true;
    tensors::DLTensor tensor;
    if (!arguments.read<int64_t>(object, tensor) || !tensors::is_dense(tensor, {batch.rows})) return false;
    const int64_t* lengths = arguments.copy(static_cast<const int64_t*>(tensor.data), batch.rows);
    return bound(batch, lengths);
}

template <class T>
bool read_sequences(Arguments& arguments, const SequenceArguments& sequences, const Spec& spec, bool batch_first,
                    Batch& batch, Resets<T>& resets) {
    resets = {};
    if (!read_lengths(arguments, sequences.lengths, batch)) return false;
    if (sequences.reset.is_none()) return true;
    tensors::DLTensor marks;
    const int time = batch_first ? 1 : 0, row = 1 - time;
    if (!arguments.read<bool>(sequences.reset, marks) || marks.ndim != 2 || marks.shape[time] != batch.steps ||
        marks.shape[row] != batch.rows)
        return false;
    resets = {
        .marks = static_cast<const unsigned char*>(marks.data),
        .step_stride = marks.strides[time],
        .row_stride = marks.strides[row],
        .state = nullptr,
        .state_stride = 0,
    };
    const int64_t H = spec.hidden_size;
    if (read_optional(arguments, sequences.reset_state, {spec.cells(), H}, resets.state)) return true;
    resets.state_stride = H;
    return read_optional(arguments, sequences.reset_state, {spec.cells(), batch.rows, H}, resets.state);
}

// Memory for what a training forward leaves to the backward pass: a new tensor. From kPooledBytes on, `from_pool`
// makes it, a function of the number of values and the size of one.
template <class T>
nb::object make_saved(Forward<T>& call, nb::handle from_pool) {
    int64_t shape[] = {int64_t(saved_values<T>(call.spec, call.batch, call.recomputes))};
    if (size_t(shape[0]) * sizeof(Sum<T>) < kPooledBytes) return make(shape, call.saved);
    nb::object tensor = from_pool(shape[0], sizeof(Sum<T>));
    Arguments arguments;
    if (!read_saved(arguments, tensor, size_t(shape[0]), call.saved) || call.saved == nullptr)
        throw nb::value_error("the memory for what the backward pass needs is too small");
    return tensor;
}

// Fills in what comes from h_0 and sequences (the input has been read), makes the results' tensors, and runs the
// call. Output and h_n, and what the backward pass needs unless `from_pool` is None. None where a tensor is not
// plain, or there is no memory for results.
template <class T>
nb::object forward_with(Forward<T>& call, Arguments& arguments, nb::handle h_0, const SequenceArguments& sequences,
                        bool batch_first, nb::handle from_pool) {
    const Spec& spec = call.spec;
    const int64_t steps = call.batch.steps, rows = call.batch.rows, H = spec.hidden_size;
    const int64_t features = spec.num_directions * H;
    if (!read_optional(arguments, h_0, {spec.cells(), rows, H}, call.h_0) ||
        !read_sequences(arguments, sequences, spec, batch_first, call.batch, call.resets))
        return nb::none();
    int64_t output_shape[] = {batch_first ? rows : steps, batch_first ? steps : rows, features};
    int64_t state_shape[] = {spec.cells(), rows, H};
    T* data;
    nb::object output, h_n, saved;
    try {
        if (!from_pool.is_none()) saved = make_saved(call, from_pool);
        output = make(output_shape, data), h_n = make(state_shape, call.h_n);
    } catch (const tensors::NoMemory&) {
        return nb::none();
    }
    call.output = dense_sequence(data, call.batch, features, batch_first);
    run_one(call);
    PyObject* results = PyTuple_Pack(saved.is_valid() ? 3 : 2, output.ptr(), h_n.ptr(), saved.ptr());
    if (results == nullptr) throw nb::python_error();
    return nb::steal(results);
}

}  // namespace fastgru::python
