#include "python/packed_parameters.h"

#include <string.h>

#include <utility>

#include "python/read_arguments.h"

namespace fastgru::python {

namespace {

// Those of a layer of type T, stored as S.
template <class T, class S>
PackedWeights packed(const LayerSizes& sizes, nb::handle dense) {
    Arrays arrays(Source::tensors);
    Cell<T> cells[kMostCells];
    if (!read_parameters(arrays, sizes, dense, cells))
        throw nb::value_error("parameters are packed from dense tensors on the CPU, of the sizes of the layer");
    const KernelTable& table = active_table();
    const ReleasedGil released;
    PackedWeights weights = packed_weights<S>(table, sizes.spec, cells);
    if (weights.memory.data() == nullptr) throw OutOfMemory{packed_bytes<S>(table, sizes.spec)};
    return weights;
}

}  // namespace

Watch::Watch(nb::handle tensor, Type type) : tensor_(nb::borrow(tensor)), type_(type), version_(version()) {
    if (version_ >= 0) return;
    size_t bytes;
    const char* now = static_cast<const char*>(values(bytes));
    if (now == nullptr) throw nb::value_error("a parameter made in inference mode is packed from dense memory");
    values_.assign(now, now + bytes);
}

bool Watch::is_current() const {
    if (version_ >= 0) return version() == version_;
    size_t bytes;
    const void* now = values(bytes);
    return now != nullptr && bytes == values_.size() && memcmp(now, values_.data(), bytes) == 0;
}

int64_t Watch::version() const {
    static PyObject* const name = PyUnicode_InternFromString("_version");
    const nb::object value = nb::steal(PyObject_GetAttr(tensor_.ptr(), name));
    if (value.is_valid()) return PyLong_AsLongLong(value.ptr());
    if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) throw nb::python_error();
    PyErr_Clear();
    return -1;
}

const void* Watch::values(size_t& bytes) const {
    return with_type(type_, [&]<class T>(Tag<T>) -> const void* {
        ArrayView view;
        nb::object storage;
        if (!torch_tensors.read(tensor_, kElementType<T>, view, storage) || !view.is_dense()) return nullptr;
        bytes = sizeof(T);
        for (int i = 0; i < view.dims; ++i) bytes *= size_t(view.shape[i]);
        return view.data;
    });
}

Packed::Packed(const LayerSizes& sizes, Type stored, nb::tuple parameters, nb::handle watches, nb::handle dense)
    : sizes_(sizes),
      stored_(stored),
      weights_(with_types(sizes.type, stored,
                          [&]<class T, class S>(Tag<T>, Tag<S>) { return packed<T, S>(sizes, dense); })),
      parameters_(std::move(parameters)) {
    for (nb::handle watch : watches) watches_.emplace_back(watch, sizes.type);
}

bool Packed::is_current() const {
    for (const Watch& watch : watches_)
        if (!watch.is_current()) return false;
    return true;
}

bool Packed::holds(nb::handle parameters) const {
    if (weights_.table != &active_table() ||
        NB_DICT_GET_SIZE(parameters.ptr()) < NB_TUPLE_GET_SIZE(parameters_.ptr()))
        return false;  // more there may be: a learned h_0 stands behind the weights
    PyObject *key, *value;
    Py_ssize_t at = 0;
    const Py_ssize_t count = NB_TUPLE_GET_SIZE(parameters_.ptr());
    for (Py_ssize_t i = 0; i < count && PyDict_Next(parameters.ptr(), &at, &key, &value); ++i)
        if (value != NB_TUPLE_GET_ITEM(parameters_.ptr(), i)) return false;
    return true;
}

}  // namespace fastgru::python
