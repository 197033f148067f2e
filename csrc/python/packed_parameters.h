// Parameters that were packed before, as Python holds them.
#pragma once

#include <string.h>

#include <utility>
#include <vector>

#include "host/packed_weights.h"
#include "python/read_arguments.h"

namespace fastgru::python {

// Whether a tensor is what it was. A write is seen by torch's version counter, which an alias of a parameter shares
// with it. A tensor that was made in inference mode has none, so its values are kept and compared.
class Watch {
  public:
    Watch(nb::handle tensor, Type type) : tensor_(nb::borrow(tensor)), type_(type), version_(version()) {
        if (version_ < 0 && read_values(values_) == nullptr)
            throw nb::value_error("a parameter made in inference mode is packed from dense memory");
    }

    bool is_current() const {
        if (version_ >= 0) return version() == version_;
        size_t bytes;
        const void* now = values(bytes);
        return now != nullptr && bytes == values_.size() && memcmp(now, values_.data(), bytes) == 0;
    }

  private:
    // Below 0: it has none.
    long version() const {
        static PyObject* const name = PyUnicode_InternFromString("_version");
        const nb::object value = nb::steal(PyObject_GetAttr(tensor_.ptr(), name));
        if (value.is_valid()) return PyLong_AsLong(value.ptr());
        if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) throw nb::python_error();
        PyErr_Clear();
        return -1;
    }

    // Null when the tensor is not dense.
    const void* values(size_t& bytes) const {
        return with_type(type_, [&]<class T>(Tag<T>) -> const void* {
            ArrayView view;
            nb::object storage;
            if (!torch_tensors.read(tensor_, kElementType<T>, view, storage) || !view.is_dense()) return nullptr;
            bytes = sizeof(T);
            for (int i = 0; i < view.dims; ++i) bytes *= size_t(view.shape[i]);
            return view.data;
        });
    }

    const void* read_values(std::vector<char>& copy) const {
        size_t bytes;
        const void* now = values(bytes);
        if (now != nullptr) copy.assign(static_cast<const char*>(now), static_cast<const char*>(now) + bytes);
        return now;
    }

    nb::object tensor_;
    Type type_;
    long version_;
    std::vector<char> values_;
};

// Parameters packed once for many calls, for as long as they are what they were: the same objects, and not written
// to.
class Packed {
  public:
    // `watches` are plain aliases of the parameters, `dense` the same values in dense memory.
    Packed(const LayerSizes& sizes, nb::tuple parameters, nb::tuple watches, nb::tuple dense)
        : sizes_(sizes),
          weights_(with_type(sizes.type, [&]<class T>(Tag<T>) { return packed<T>(sizes, dense); })),
          parameters_(std::move(parameters)) {
        for (nb::handle watch : watches) watches_.emplace_back(watch, sizes.type);
    }

    // False when a parameter was written to since.
    bool is_current() const {
        for (const Watch& watch : watches_)
            if (!watch.is_current()) return false;
        return true;
    }

    // Whether the values of this dict are the parameters, the very objects, and the level is still the one that
    // runs.
    bool holds(nb::handle parameters) const {
        if (weights_.table != &active_table() ||
            PyDict_GET_SIZE(parameters.ptr()) < PyTuple_GET_SIZE(parameters_.ptr()))
            return false;  // more there may be: a learned h_0 stands behind the weights
        PyObject *key, *value;
        Py_ssize_t at = 0;
        const Py_ssize_t count = PyTuple_GET_SIZE(parameters_.ptr());
        for (Py_ssize_t i = 0; i < count && PyDict_Next(parameters.ptr(), &at, &key, &value); ++i)
            if (value != PyTuple_GET_ITEM(parameters_.ptr(), i)) return false;
        return true;
    }

    const LayerSizes& sizes() const { return sizes_; }
    const KernelTable& table() const { return *weights_.table; }
    const void* values() const { return weights_.memory.data(); }

  private:
    template <class T>
    static PackedWeights packed(const LayerSizes& sizes, nb::handle dense) {
        Arrays arrays(Source::tensors);
        Cell<T> cells[kMostCells];
        if (!read_parameters(arrays, sizes, dense, cells))
            throw nb::value_error("parameters are packed from dense tensors on the CPU, of the sizes of the layer");
        const KernelTable& table = active_table();
        const nb::gil_scoped_release released;
        PackedWeights weights(table, sizes.spec, cells);
        if (weights.memory.data() == nullptr) throw OutOfMemory{packed_bytes<T>(table, sizes.spec)};
        return weights;
    }

    LayerSizes sizes_;
    PackedWeights weights_;
    nb::tuple parameters_;
    std::vector<Watch> watches_;
};

}  // namespace fastgru::python
