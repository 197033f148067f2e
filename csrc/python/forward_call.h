// A forward call from arrays to arrays, with parameters of whichever kind.
#pragma once

#include "python/read_arguments.h"

namespace fastgru::python {

// Where results go. `results` are arrays (output, h_n, saved) to write to, the last of them None where no backward
// pass follows. None: tensors are made; with a function `from_pool` also one of what the backward pass needs, by
// the function from kPooledBytes on, of a number of values and the size of one.
struct ResultArguments {
    nb::handle from_pool, results;
};

// A new tensor for what the backward pass needs. Throws NoMemory.
template <class T, class S>
nb::object make_saved(Forward<T, S>& call, nb::handle from_pool, size_t& count) {
    count = saved_values<T>(call.spec, call.batch, call.recomputes);
    if (count * sizeof(Sum<T>) < kPooledBytes) return make({int64_t(count)}, call.saved);
    const size_t needed = count;
    nb::object tensor = from_pool(needed, sizeof(Sum<T>));
    Arrays arrays(Source::tensors);
    if (!read_saved(arrays, tensor, call.saved, count) || count < needed)
        throw nb::value_error("the memory for what the backward pass needs is too small");
    return tensor;
}

// A tuple of tensors. Throws NoMemory.
template <class T, class S>
nb::object make_results(Forward<T, S>& call, Layout layout, nb::handle from_pool, size_t& saved_count) {
    const int64_t features = call.spec.num_directions * call.spec.hidden_size;
    T* data;
    nb::object saved;
    if (!from_pool.is_none()) saved = make_saved(call, from_pool, saved_count);
    const nb::object output = make(shape_of_vectors(call.batch, layout, features), data);
    const nb::object h_n = make(shape_of_states(call.spec, call.batch), call.h_n);
    call.output = dense_sequence(data, call.batch, layout, features);
    PyObject* results = PyTuple_Pack(saved.is_valid() ? 3 : 2, output.ptr(), h_n.ptr(), saved.ptr());
    if (results == nullptr) throw nb::python_error();
    return nb::steal(results);
}

template <class T, class S>
bool read_results(Arrays& arrays, nb::handle results, Layout layout, Forward<T, S>& call, size_t& saved_count) {
    if (!PyTuple_CheckExact(results.ptr()) || NB_TUPLE_GET_SIZE(results.ptr()) != 3) return false;
    const auto result = [&](Py_ssize_t i) { return nb::handle(NB_TUPLE_GET_ITEM(results.ptr(), i)); };
    const int64_t features = call.spec.num_directions * call.spec.hidden_size;
    T* data;
    if (!arrays.read_dense(result(0), shape_of_vectors(call.batch, layout, features), data) ||
        !arrays.read_dense(result(1), shape_of_states(call.spec, call.batch), call.h_n))
        return false;
    call.output = dense_sequence(data, call.batch, layout, features);
    return result(2).is_none() || read_saved(arrays, result(2), call.saved, saved_count);
}

// Reads all but the parameters, which the call has, and runs it. The results; None where an array cannot be read or
// there is no memory for tensors.
template <class T, class S>
nb::object forward_with(Arrays& arrays, const LayerSizes& sizes, const InputArguments& given,
                        const ResultArguments& to, const Models& models, Forward<T, S>& call) {
    Batches batches;
    const Layout layout = given.layout();
    if (!read_input(arrays, given, models, batches, call) || !read_states(arrays, given, call)) return nb::none();
    size_t saved_count = 0;
    nb::object results = nb::borrow(to.results);
    try {
        if (results.is_none()) {
            results = make_results(call, layout, to.from_pool, saved_count);
        } else if (!read_results(arrays, results, layout, call, saved_count)) {
            return nb::none();
        }
    } catch (const NoMemory&) {
        return nb::none();
    }
    run_models(sizes, call, models, batches, saved_count);
    return results;
}

}  // namespace fastgru::python
