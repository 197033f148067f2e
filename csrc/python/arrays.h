// The arrays of one call: torch tensors, objects with Python's buffer protocol, or memory by address. All become
// views, and only this file's readers know which they were.
//
// Arrays belong to the caller, who may have other threads. What they say is looked at once, under the GIL, and
// their memory is held from then on: other threads may run already when the next array is asked.
#pragma once

#include <nanobind/nanobind.h>

#include <type_traits>
#include <utility>
#include <vector>

#include "python/dlpack_tensors.h"

namespace fastgru::python {

namespace nb = nanobind;

// An array that Python gives by its address.
struct ArrayAt {
    nb::object owner;  // holds the memory
    ArrayView view;
};

// What the arrays of a call are: all are of one kind, for what users pass must not be taken for anything else.
enum class Source {
    tensors,  // that others know too: their memory is looked at, and held
    aliases,  // tensors that only this call knows, with memory and values that Python has looked at
    buffers,
    addresses,
};

// That of a call with this input. Who gives memory for results (`is_given`) has arranged the other arrays as well.
Source source_of(nb::handle input, bool is_given);

// Reads arrays, and keeps their memory as long as it lives itself.
class Arrays {
  public:
    explicit Arrays(Source source) : source_(source) {}

    // False where `object` is no array on the CPU with elements of type T, or not as plain as the core wants it.
    template <class T>
    bool read(nb::handle object, ArrayView& view, bool is_written = false);

    // A dense array of this shape; one that is not const is to be written to.
    template <class T>
    bool read_dense(nb::handle object, const Shape& shape, T*& data);

    // The same, or None, which leaves `data` null.
    template <class T>
    bool read_optional(nb::handle object, const Shape& shape, T*& data) {
        data = nullptr;
        return object.is_none() || read_dense(object, shape, data);
    }

  private:
    static constexpr int kFew = 8;  // of a layer of one cell, without memory for the list of them

    bool read_other(nb::handle object, ElementType type, bool is_written, ArrayView& view,
                    nb::object& keeper) const;
    void keep(nb::object&& keeper) {
        if (count_ < kFew)
            few_[count_++] = std::move(keeper);
        else
            more_.push_back(std::move(keeper));
    }

    Source source_;
    int count_ = 0;
    nb::object few_[kFew];
    std::vector<nb::object> more_;
};

template <class T>
bool Arrays::read(nb::handle object, ArrayView& view, bool is_written) {
    constexpr ElementType type = kElementType<T>;
    nb::object keeper;
    if (source_ == Source::tensors ? !torch_tensors.read(object, type, view, keeper)
                                   : !read_other(object, type, is_written, view, keeper))
        return false;
    keep(std::move(keeper));
    return true;
}

template <class T>
bool Arrays::read_dense(nb::handle object, const Shape& shape, T*& data) {
    ArrayView view;
    if (!read<std::remove_const_t<T>>(object, view, !std::is_const_v<T>)) return false;
    data = static_cast<T*>(view.data);
    return view.has_shape(shape) && view.is_dense();
}

}  // namespace fastgru::python
