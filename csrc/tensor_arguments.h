// Torch tensors as arguments of the core: read where they are as plain as nearly all are, and made for results.
#pragma once

#include "bindings.h"
#include "tensors.h"

namespace fastgru::python {

extern tensors::Tensors torch_tensors;

// Parameters as they are, when all are plain, dense and of the sizes that the core was made for.
template <class T>
bool read_parameters(const Core& core, nb::handle parameters, Cell<T>* cells) {
    if (!PyTuple_CheckExact(parameters.ptr())) return false;
    const int64_t H = core.spec.hidden_size;
    const ptrdiff_t per_cell = core.tensors_per_cell();
    if (PyTuple_GET_SIZE(parameters.ptr()) != core.spec.cells() * per_cell) return false;
    for (ptrdiff_t i = 0; i < core.spec.cells() * per_cell; ++i) {
        tensors::DLTensor tensor;
        if (!torch_tensors.describe<T>(PyTuple_GET_ITEM(parameters.ptr(), i), tensor)) return false;
        const ptrdiff_t cell = i / per_cell, kind = i % per_cell;
        const int64_t columns = kind == 0 ? core.spec.width(cell / core.spec.num_directions) : H;
        if (kind < 2 ? !tensors::is_dense(tensor, {3 * H, columns}) : !tensors::is_dense(tensor, {3 * H}))
            return false;
        const T* data = static_cast<const T*>(tensor.data);
        if (kind == 0) cells[cell] = {data, nullptr, nullptr, nullptr};
        if (kind == 1) cells[cell].weight_hh = data;
        if (kind == 2) cells[cell].bias_ih = data;
        if (kind == 3) cells[cell].bias_hh = data;
    }
    return true;
}

// (T, B, features), or (B, T, features), with the values of a vector side by side.
template <class T>
bool read_sequence(nb::handle object, int64_t features, bool batch_first, Sequence<const T>& sequence,
                   Batch& batch) {
    tensors::DLTensor tensor;
    if (!torch_tensors.describe<T>(object, tensor) || tensor.ndim != 3) return false;
    const int time = batch_first ? 1 : 0, row = 1 - time;
    if (tensor.shape[0] == 0 || tensor.shape[1] == 0 || tensor.shape[2] != features) return false;
    if (tensor.strides[2] != 1 && features != 1) return false;
    sequence = {static_cast<const T*>(tensor.data), tensor.strides[row], tensor.strides[time], false};
    batch = {tensor.shape[time], tensor.shape[row], nullptr};
    return true;
}

// Where the vectors of a dense (T, B, features) lie, or of (B, T, features).
template <class T>
Sequence<T> dense_sequence(T* data, const Batch& batch, int64_t features, bool batch_first) {
    return {data, batch_first ? batch.steps * features : features, batch_first ? features : batch.rows * features,
            false};
}

// A dense tensor of this shape, or None, which leaves `data` null.
template <class T, size_t N>
bool read_optional(nb::handle object, const int64_t (&shape)[N], const T*& data) {
    data = nullptr;
    if (object.is_none()) return true;
    tensors::DLTensor tensor;
    if (!torch_tensors.describe<T>(object, tensor) || !tensors::is_dense(tensor, shape)) return false;
    data = static_cast<const T*>(tensor.data);
    return true;
}

template <class T, size_t N>
nb::object make(int64_t (&shape)[N], T*& data) {
    void* at;
    nb::object tensor = torch_tensors.make(tensors::kType<T>, N, shape, at);
    data = static_cast<T*>(at);
    return tensor;
}

// How the sequences of a call end and where they start anew; each part may be None.
struct Bounds {
    nb::handle lengths, reset, reset_state;
};

// False where lengths are no dense int64 of this batch, or out of range.
inline bool read_lengths(nb::handle object, Batch& batch) {
    if (object.is_none()) return true;
    tensors::DLTensor tensor;
    if (!torch_tensors.describe<int64_t>(object, tensor) || !tensors::is_dense(tensor, {batch.rows})) return false;
    const int64_t* lengths = static_cast<const int64_t*>(tensor.data);
    int64_t least = batch.steps;
    for (ptrdiff_t b = 0; b < batch.rows; ++b) {
        if (lengths[b] < 0 || lengths[b] > batch.steps) return false;
        least = lengths[b] < least ? lengths[b] : least;
    }
    batch.lengths = least < batch.steps ? lengths : nullptr;  // a full batch needs no order
    return true;
}

template <class T>
bool read_bounds(const Bounds& bounds, const Spec& spec, bool batch_first, Batch& batch, Resets<T>& resets) {
    resets = {};
    if (!read_lengths(bounds.lengths, batch)) return false;
    if (bounds.reset.is_none()) return true;
    tensors::DLTensor marks;
    const int time = batch_first ? 1 : 0, row = 1 - time;
    if (!torch_tensors.describe<bool>(bounds.reset, marks) || marks.ndim != 2 || marks.shape[time] != batch.steps ||
        marks.shape[row] != batch.rows)
        return false;
    resets = {static_cast<const unsigned char*>(marks.data), marks.strides[time], marks.strides[row], nullptr, 0};
    const int64_t H = spec.hidden_size;
    if (read_optional(bounds.reset_state, {spec.cells(), H}, resets.state)) return true;
    resets.state_stride = H;
    return read_optional(bounds.reset_state, {spec.cells(), batch.rows, H}, resets.state);
}

// Fills in what comes from input, h_0 and bounds, makes the results' tensors, and hands the call to `run`.
template <class T, class Run>
nb::object forward_with(Forward<T>& call, nb::handle input, nb::handle h_0, const Bounds& bounds, bool batch_first,
                        const Run& run) {
    const Spec& spec = call.spec;
    if (!read_sequence(input, spec.input_size, batch_first, call.input, call.batch)) return nb::none();
    const int64_t steps = call.batch.steps, rows = call.batch.rows, H = spec.hidden_size;
    const int64_t features = spec.num_directions * H;
    if (!read_optional(h_0, {spec.cells(), rows, H}, call.h_0) ||
        !read_bounds(bounds, spec, batch_first, call.batch, call.resets))
        return nb::none();
    int64_t output_shape[] = {batch_first ? rows : steps, batch_first ? steps : rows, features};
    int64_t state_shape[] = {spec.cells(), rows, H};
    T* data;
    const nb::object output = make(output_shape, data), h_n = make(state_shape, call.h_n);
    call.output = dense_sequence(data, call.batch, features, batch_first);
    run();
    return nb::steal(PyTuple_Pack(2, output.ptr(), h_n.ptr()));
}

}  // namespace fastgru::python
