// What the calls of the core read, and the tensors that they make for their results. What is no array of the right
// type, size and layout is refused with false; callers answer None then, and Python has another way, which finds
// the words for what is wrong.
#pragma once

#include "python/batches.h"
#include "python/many_models.h"

namespace fastgru::python {

// How the sequences of a call end and where they start anew; each part may be None.
struct SequenceArguments {
    nb::handle batch_sizes, lengths, reset, reset_state;
};

// The order of dimensions: (T, B, features), (B, T, features) with `batch_first`, or packed (N, features).
struct Layout {
    bool is_packed, batch_first;

    int time() const { return batch_first ? 1 : 0; }
    int row() const { return batch_first ? 0 : 1; }
};

// What the forward and the backward pass read alike, beside parameters.
struct InputArguments {
    nb::handle input, h_0;
    SequenceArguments sequences;
    bool batch_first;

    Layout layout() const {
        const bool is_packed = !sequences.batch_sizes.is_none();
        return {.is_packed = is_packed, .batch_first = batch_first && !is_packed};
    }
};

inline Shape shape_of_vectors(const Batch& batch, Layout layout, int64_t features) {
    if (layout.is_packed) return {batch.slots(), features};
    if (layout.batch_first) return {batch.rows, batch.steps, features};
    return {batch.steps, batch.rows, features};
}

inline Shape shape_of_states(const Spec& spec, const Batch& batch) {
    return {spec.cells(), batch.rows, spec.hidden_size};
}

template <class T>
Sequence<T> sequence_of(const ArrayView& view, Layout layout) {
    return {
        .data = static_cast<T*>(view.data),
        .row_stride = view.strides[layout.is_packed ? 0 : layout.row()],
        .step_stride = layout.is_packed ? 0 : view.strides[layout.time()],
        .is_flat = layout.is_packed,
    };
}

// Where the vectors of a dense array lie.
template <class T>
Sequence<T> dense_sequence(T* data, const Batch& batch, Layout layout, int64_t features) {
    return {
        .data = data,
        .row_stride = layout.batch_first ? batch.steps * features : features,
        .step_stride = layout.is_packed     ? 0
                       : layout.batch_first ? features
                                            : batch.rows * features,
        .is_flat = layout.is_packed,
    };
}

// Vectors in this layout, each with its values side by side.
template <class T>
bool read_vectors(Arrays& arrays, nb::handle object, Layout layout, int64_t features, ArrayView& view) {
    const int last = layout.is_packed ? 1 : 2;
    return arrays.read<T>(object, view) && view.dims == last + 1 && view.shape[last] == features &&
           (features <= 1 || view.strides[last] == 1);
}

// As many of them as the batch has.
template <class T>
bool read_sequence(Arrays& arrays, nb::handle object, Layout layout, int64_t features, const Batch& batch,
                   Sequence<const T>& sequence) {
    ArrayView view;
    if (!read_vectors<T>(arrays, object, layout, features, view) ||
        !view.has_shape(shape_of_vectors(batch, layout, features)))
        return false;
    sequence = sequence_of<const T>(view, layout);
    return true;
}

// The input and how its sequences end, which say how long the call will be.
template <class Call>
bool read_input(Arrays& arrays, const InputArguments& given, const Models& models, Batches& batches, Call& call) {
    const Layout layout = given.layout();
    const SequenceArguments& sequences = given.sequences;
    ArrayView view;
    if (!read_vectors<typename Call::Value>(arrays, given.input, layout, call.spec.input_size, view)) return false;
    if (layout.is_packed) {
        if (!sequences.lengths.is_none() || !batches.read_sizes(arrays, sequences.batch_sizes, view.shape[0]))
            return false;
    } else {
        const int64_t steps = view.shape[layout.time()], rows = view.shape[layout.row()];
        if (steps == 0 || rows == 0 ||
            !batches.read_lengths(arrays, sequences.lengths, steps, rows, models.count, models.tensors.lengths))
            return false;
    }
    call.batch = batches.of_model(0);
    call.input = sequence_of<const typename Call::Value>(view, layout);
    return true;
}

// Where states are put back, and to what.
template <class Call>
bool read_resets(Arrays& arrays, const InputArguments& given, Call& call) {
    const SequenceArguments& sequences = given.sequences;
    call.resets = {};
    if (sequences.reset.is_none()) return true;
    const Layout layout = given.layout();
    const Batch& batch = call.batch;
    ArrayView marks;
    if (!arrays.read<bool>(sequences.reset, marks) || marks.dims != 2 ||
        marks.shape[layout.time()] != batch.steps || marks.shape[layout.row()] != batch.rows)
        return false;
    call.resets = {
        .marks = static_cast<const unsigned char*>(marks.data),
        .step_stride = marks.strides[layout.time()],
        .row_stride = marks.strides[layout.row()],
        .state = nullptr,
        .state_stride = 0,
    };
    if (sequences.reset_state.is_none()) return true;
    ArrayView state;
    if (!arrays.read<typename Call::Value>(sequences.reset_state, state) || !state.is_dense()) return false;
    call.resets.state = static_cast<const typename Call::Value*>(state.data);
    if (state.has_shape({call.spec.cells(), call.spec.hidden_size})) return true;
    call.resets.state_stride = call.spec.hidden_size;
    return state.has_shape(shape_of_states(call.spec, batch));
}

// The states of a call whose input has been read.
template <class Call>
bool read_states(Arrays& arrays, const InputArguments& given, Call& call) {
    return arrays.read_optional(given.h_0, shape_of_states(call.spec, call.batch), call.h_0) &&
           read_resets(arrays, given, call);
}

// One array of a layer's parameters or their gradients, by its place among those of its cell.
inline Shape shape_of_parameter(const Spec& spec, ptrdiff_t cell, ptrdiff_t kind) {
    const int64_t H = spec.hidden_size;
    if (kind == 0) return {3 * H, spec.width(cell / spec.num_directions)};
    if (kind == 1) return {3 * H, H};
    return {3 * H};
}

// C is Cell or CellGradients; take(i, shape, pointer) is asked for each array in torch's order.
template <class C, class Take>
bool take_parameters(const LayerSizes& sizes, C* cells, const Take& take) {
    const ptrdiff_t per_cell = sizes.tensors_per_cell();
    for (ptrdiff_t cell = 0; cell < sizes.spec.cells(); ++cell) {
        C& own = cells[cell];
        own = {};
        decltype(own.weight_ih)* const pointers[] = {&own.weight_ih, &own.weight_hh, &own.bias_ih, &own.bias_hh};
        for (ptrdiff_t kind = 0; kind < per_cell; ++kind)
            if (!take(cell * per_cell + kind, shape_of_parameter(sizes.spec, cell, kind), *pointers[kind]))
                return false;
    }
    return true;
}

// A tuple of so many entries, which are what the core takes for every parameter behind `first` others.
inline bool has_entries(nb::handle tuple, const LayerSizes& sizes, ptrdiff_t first = 0) {
    return PyTuple_CheckExact(tuple.ptr()) &&
           NB_TUPLE_GET_SIZE(tuple.ptr()) == first + sizes.spec.cells() * sizes.tensors_per_cell();
}

template <class T>
bool read_parameters(Arrays& arrays, const LayerSizes& sizes, nb::handle parameters, Cell<T>* cells) {
    if (!has_entries(parameters, sizes)) return false;
    return take_parameters(sizes, cells, [&](ptrdiff_t i, const Shape& shape, const T*& data) {
        return arrays.read_dense(NB_TUPLE_GET_ITEM(parameters.ptr(), i), shape, data);
    });
}

// What a training forward leaves: dense, of one dimension. `count` is how many values there is memory for.
template <class P>
bool read_saved(Arrays& arrays, nb::handle object, P*& data, size_t& count) {
    ArrayView view;
    if (!arrays.read<std::remove_const_t<P>>(object, view, !std::is_const_v<P>)) return false;
    if (view.dims != 1 || !view.is_dense()) return false;
    data = static_cast<P*>(view.data);
    count = size_t(view.shape[0]);
    return true;
}

// A new tensor; `data` is where its values go. Throws NoMemory.
template <class T>
nb::object make(Shape shape, T*& data) {
    void* at;
    nb::object tensor = torch_tensors.make(kElementType<T>, shape.dims, shape.sizes, at);
    data = static_cast<T*>(at);
    return tensor;
}

}  // namespace fastgru::python
