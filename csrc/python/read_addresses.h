// Arguments of the core as addresses. They are cheap (0.1 us from a tensor, where an array object takes 1 to 4 us);
// 0 is null. They have been checked by the callers in src/fastgru/backends.
#pragma once

#include <nanobind/stl/tuple.h>

#include <tuple>
#include <vector>

#include "python/bindings.h"

namespace fastgru::python {

// Address, step stride and row stride of vectors, in elements.
using VectorsArgument = std::tuple<Address, ptrdiff_t, ptrdiff_t>;
// Steps, rows, vectors of packed data, and the addresses of batch sizes and lengths.
using BatchArgument = std::tuple<ptrdiff_t, ptrdiff_t, ptrdiff_t, Address, Address>;
// Address and number of values.
using SavedArgument = std::tuple<Address, size_t>;
// The marks, and address and row stride of the state that they bring.
using ResetArgument = std::tuple<VectorsArgument, Address, ptrdiff_t>;

template <class P>
P* at(Address address) {
    return reinterpret_cast<P*>(address);
}

template <class T>
Sequence<T> sequence_at(const VectorsArgument& vectors, bool is_flat) {
    const auto [address, step_stride, row_stride] = vectors;
    return {.data = at<T>(address), .row_stride = row_stride, .step_stride = step_stride, .is_flat = is_flat};
}

template <class T>
Resets<T> resets_at(const ResetArgument& reset) {
    const auto [marks, state, stride] = reset;
    return {
        .marks = at<const unsigned char>(std::get<0>(marks)),
        .step_stride = std::get<1>(marks),
        .row_stride = std::get<2>(marks),
        .state = at<const T>(state),
        .state_stride = stride,
    };
}

// Addresses of all parameters (or of their gradients), in torch's order.
template <class P, class C>
void read_cells(const LayerSizes& sizes, nb::handle addresses, C* cells) {
    PyObject* sequence = addresses.ptr();
    const ptrdiff_t per_cell = sizes.tensors_per_cell();
    if (!PyTuple_CheckExact(sequence) || PyTuple_GET_SIZE(sequence) != sizes.spec.cells() * per_cell)
        throw nb::value_error("the core takes one address for every parameter, in a tuple");
    const auto read = [&](ptrdiff_t i) {
        const size_t address = PyLong_AsSize_t(PyTuple_GET_ITEM(sequence, i));
        if (address == size_t(-1) && PyErr_Occurred()) throw nb::python_error();
        return at<P>(address);
    };
    for (ptrdiff_t cell = 0; cell < sizes.spec.cells(); ++cell) {
        const ptrdiff_t i = cell * per_cell;
        cells[cell] = {
            .weight_ih = read(i),
            .weight_hh = read(i + 1),
            .bias_ih = sizes.has_bias ? read(i + 2) : nullptr,
            .bias_hh = sizes.has_bias ? read(i + 3) : nullptr,
        };
    }
}

// Memory for what one model's forward pass leaves; an error where it is too small.
template <class P, class T>
P* saved_at(const SavedArgument& saved, const Spec& spec, const Batch& batch, bool recomputes) {
    const auto [address, count] = saved;
    if (address != 0 && count < saved_values<T>(spec, batch, recomputes))
        throw nb::value_error("the memory for what the backward pass needs is too small for these lengths");
    return at<P>(address);
}

// How the sequences of all models end. Batch sizes and lengths decide where the core writes, and they are the
// caller's; so they are copied while the GIL is held, and only the copies are looked at.
class OwnBatches {
  public:
    // The lengths of so many models stand `shift` bytes apart; 0: they share them.
    OwnBatches(const BatchArgument& batch, ptrdiff_t models, ptrdiff_t shift);
    Batch of_model(ptrdiff_t model) const;

  private:
    Batch batch_{};
    std::vector<int64_t> values_;
    ptrdiff_t shift_ = 0;
};

}  // namespace fastgru::python
