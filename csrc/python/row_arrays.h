// Arrays as matrices of vectors, for row-wise operations: what the calls of row_calls.cpp read and write.
#pragma once

#include <algorithm>
#include <type_traits>

#include "fastgru_rows.h"
#include "python/arrays.h"
#include "python/bindings.h"

namespace fastgru::python {

// An array whose last dimension is the vectors and whose others are their rows.
template <class T>
struct Vectors {
    Matrix<T> matrix;
    ptrdiff_t rows, width;
    ArrayView view;

    bool is_like(const Vectors<const std::remove_const_t<T>>& other, ptrdiff_t features) const {
        if (view.dims != other.view.dims || width != features) return false;
        for (int i = 0; i + 1 < view.dims; ++i)
            if (view.shape[i] != other.view.shape[i]) return false;
        return true;
    }
};

// False where the vectors have not one distance from each to the next, or values that are not side by side.
template <class T>
bool read_vectors(Arrays& arrays, nb::handle object, Vectors<T>& found) {
    ArrayView& view = found.view;
    if (!arrays.read<std::remove_const_t<T>>(object, view, !std::is_const_v<T>) || view.dims == 0) return false;
    found.width = view.shape[view.dims - 1];
    const bool is_empty = std::find(view.shape, view.shape + view.dims, 0) != view.shape + view.dims;
    if (!is_empty && found.width > 1 && view.strides[view.dims - 1] != 1) return false;
    found.rows = 1;
    ptrdiff_t stride = found.width;
    for (int i = view.dims - 2; i >= 0; --i) {
        if (view.shape[i] != 1 && !is_empty) {
            if (found.rows == 1)
                stride = view.strides[i];
            else if (view.strides[i] != stride * found.rows)
                return false;
        }
        found.rows *= view.shape[i];
    }
    found.matrix = {static_cast<T*>(view.data), stride};
    return true;
}

// A new tensor with vectors of so many features where `like` has its own. Throws NoMemory.
template <class T>
nb::object make_vectors(const Vectors<const T>& like, ptrdiff_t features, Vectors<T>& made) {
    Shape shape({});
    for (int i = 0; i + 1 < like.view.dims; ++i) shape.sizes[shape.dims++] = like.view.shape[i];
    shape.sizes[shape.dims++] = features;
    void* data;
    nb::object tensor = torch_tensors.make(kElementType<T>, shape.dims, shape.sizes, data);
    made = {.matrix = {static_cast<T*>(data), features}, .rows = like.rows, .width = features, .view = like.view};
    return tensor;
}

// Where results go: the array that was given, or a new tensor for those of tensors. An invalid object where there
// is none.
template <class T>
nb::object result_vectors(Arrays& arrays, Source source, nb::handle given, const Vectors<const T>& like,
                          ptrdiff_t features, Vectors<T>& result) {
    if (given.is_none()) return source == Source::tensors ? make_vectors(like, features, result) : nb::object();
    if (!read_vectors(arrays, given, result) || !result.is_like(like, features)) return {};
    return nb::borrow(given);
}

// run(Tag<T>) for float, and for double where that gives None: the core has row-wise operations in these types.
template <class Run>
nb::object for_either_type(const Run& run) {
    try {
        nb::object found = run(Tag<float>());
        return found.is_none() ? run(Tag<double>()) : found;
    } catch (const NoMemory&) {
        return nb::none();
    }
}

template <class Call>
void run_rows(const KernelTable& table, Call call) {
    if constexpr (requires(void* workspace) { run(table, call, workspace); }) {
        must_have(run_call(table, call));
    } else {
        const Team team(call.threads, call_microseconds(call));
        call.threads = team.threads();
        call.is_awake = team.is_awake();
        run(table, call);
    }
}

// All memory of the call is the call's own or held by it.
template <class Call>
void run_rows_released(const KernelTable& table, const Call& call) {
    std::optional<ReleasedGil> released;
    if (call_microseconds(call) >= kKeepsGil) released.emplace();
    run_rows(table, call);
}

// Throws where there is none of this name.
Activation activation_named(const std::string& name, double a, double b);
Operation operation_named(const std::string& name);

}  // namespace fastgru::python
