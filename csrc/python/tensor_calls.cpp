// Calls of the core from torch tensors to torch tensors, for tensors as plain as nearly all are: dense, on the CPU,
// of the right type and size. Each answers None where one is not; the caller has another, slower way, which also
// finds the words for what is wrong.
#include "python/read_tensors.h"

namespace fastgru::python {

tensors::Tensors torch_tensors;

namespace {

template <class T>
nb::object forward_tensors(const LayerSizes& sizes, nb::handle input, nb::handle h_0, nb::handle parameters,
                           const SequenceArguments& sequences, bool batch_first, nb::handle from_pool,
                           bool recomputes, int threads) {
    Arguments arguments;
    Cell<T> cells[kMostCells];
    Forward<T> call{};
    call.spec = sizes.spec;
    call.cells = cells;
    call.recomputes = recomputes;
    call.threads = threads;
    if (!read_input(arguments, input, batch_first, call) || !read_parameters(arguments, sizes, parameters, cells))
        return nb::none();
    return forward_with(call, arguments, h_0, sequences, batch_first, from_pool);
}

// Everything that a backward pass reads; false where a tensor is not plain.
template <class T>
bool read_backward(Arguments& arguments, const LayerSizes& sizes, nb::handle input, nb::handle h_0,
                   nb::handle parameters, const SequenceArguments& sequences, bool batch_first, nb::handle output,
                   nb::handle saved, nb::handle d_output, nb::handle d_h_n, Cell<T>* cells, Backward<T>& call) {
    const Spec& spec = sizes.spec;
    if (!read_input(arguments, input, batch_first, call)) return false;
    const int64_t steps = call.batch.steps, rows = call.batch.rows, H = spec.hidden_size;
    const int64_t features = spec.num_directions * H;
    Batch d_batch;
    if (!d_output.is_none() &&
        (!read_sequence(arguments, d_output, features, batch_first, call.d_output, d_batch) ||
         d_batch.steps != steps || d_batch.rows != rows))
        return false;
    const T* output_data;
    if (!read_optional(arguments, h_0, {spec.cells(), rows, H}, call.h_0) ||
        !read_optional(arguments, d_h_n, {spec.cells(), rows, H}, call.d_h_n) ||
        !read_optional(arguments, output, {batch_first ? rows : steps, batch_first ? steps : rows, features},
                       output_data) ||
        !read_sequences(arguments, sequences, spec, batch_first, call.batch, call.resets) ||
        !read_parameters(arguments, sizes, parameters, cells))
        return false;
    call.output = dense_sequence(output_data, call.batch, features, batch_first);
    const size_t needed = saved_values<T>(spec, call.batch, call.recomputes);
    return !saved.is_none() && read_saved(arguments, saved, needed, call.saved) && output_data != nullptr;
}

// Tensors for the gradients that are wanted, None for the others.
template <class T>
nb::object make_gradients(const LayerSizes& sizes, bool batch_first, nb::handle wanted, CellGradients<T>* d_cells,
                          Backward<T>& call) {
    const Spec& spec = sizes.spec;
    const int64_t steps = call.batch.steps, rows = call.batch.rows, H = spec.hidden_size;
    const ptrdiff_t per_cell = sizes.tensors_per_cell();
    nb::object gradients = nb::steal(PyTuple_New(PyTuple_GET_SIZE(wanted.ptr())));
    if (!gradients.is_valid()) throw nb::python_error();
    const auto gradient = [&](ptrdiff_t i, auto&&... sizes) {
        T* data = nullptr;
        int64_t shape[] = {sizes...};
        const bool is_wanted = PyTuple_GET_ITEM(wanted.ptr(), i) == Py_True;
        nb::object tensor = is_wanted ? make(shape, data) : nb::none();
        PyTuple_SET_ITEM(gradients.ptr(), i, tensor.release().ptr());
        return data;
    };
    const int64_t width = spec.input_size;
    T* d_input = gradient(0, batch_first ? rows : steps, batch_first ? steps : rows, width);
    call.d_input = dense_sequence(d_input, call.batch, width, batch_first);
    call.d_h_0 = gradient(1, int64_t(spec.cells()), rows, H);
    call.d_reset = gradient(2, int64_t(spec.cells()), rows, H);
    for (ptrdiff_t cell = 0; cell < spec.cells(); ++cell) {
        const ptrdiff_t i = 3 + cell * per_cell;
        d_cells[cell] = {
            .weight_ih = gradient(i, 3 * H, int64_t(spec.width(cell / spec.num_directions))),
            .weight_hh = gradient(i + 1, 3 * H, H),
            .bias_ih = sizes.has_bias ? gradient(i + 2, 3 * H) : nullptr,
            .bias_hh = sizes.has_bias ? gradient(i + 3, 3 * H) : nullptr,
        };
    }
    return gradients;
}

template <class T>
nb::object backward_tensors(const LayerSizes& sizes, nb::handle input, nb::handle h_0, nb::handle parameters,
                            const SequenceArguments& sequences, bool batch_first, nb::handle output,
                            nb::handle saved, bool recomputes, nb::handle d_output, nb::handle d_h_n,
                            nb::handle wanted, int threads) {
    Arguments arguments;
    Cell<T> cells[kMostCells];
    CellGradients<T> d_cells[kMostCells];
    Backward<T> call{};
    call.spec = sizes.spec;
    call.cells = cells;
    call.recomputes = recomputes;
    call.d_cells = d_cells;
    call.threads = threads;
    const ptrdiff_t count = 3 + sizes.spec.cells() * sizes.tensors_per_cell();
    if (!PyTuple_CheckExact(wanted.ptr()) || PyTuple_GET_SIZE(wanted.ptr()) != count ||
        !read_backward(arguments, sizes, input, h_0, parameters, sequences, batch_first, output, saved, d_output,
                       d_h_n, cells, call))
        return nb::none();
    try {
        const nb::object gradients = make_gradients(sizes, batch_first, wanted, d_cells, call);
        run_one(call);
        return gradients;
    } catch (const tensors::NoMemory&) {
        return nb::none();
    }
}

// The functions that make tensors, when this torch has them.
tensors::Maker maker_of(nb::handle functions, nb::handle dtypes, nb::handle from_capsule, bool keeps_handle) {
    tensors::Maker maker;
    if (functions.is_none()) return maker;
    const auto address = [&](size_t i) { return nb::cast<Address>(functions[i]); };
    maker.empty_strided = reinterpret_cast<decltype(maker.empty_strided)>(address(0));
    maker.data = reinterpret_cast<decltype(maker.data)>(address(1));
    maker.destroy = reinterpret_cast<decltype(maker.destroy)>(address(2));
    for (size_t i = 0; i < 4; ++i) maker.dtypes[i] = nb::cast<int32_t>(dtypes[i]);
    maker.from_capsule = from_capsule.inc_ref().ptr();
    maker.keeps_handle = keeps_handle;
    return maker;
}

void bind_load(nb::module_& m) {
    m.def(
        "load_tensors",
        [](nb::tuple types, nb::handle functions, nb::handle dtypes, nb::handle from_capsule, bool keeps_handle) {
            return torch_tensors.load(types, maker_of(functions, dtypes, from_capsule, keeps_handle));
        },
        nb::arg("types"), nb::arg("functions").none(), nb::arg("dtypes").none(), nb::arg("from_capsule").none(),
        nb::arg("keeps_handle"),
        "Makes calls on tensors of these types usable; False when this torch lacks the table of functions for it. "
        "`functions` are the addresses of torch's aoti_torch_empty_strided, aoti_torch_get_data_ptr and "
        "aoti_torch_delete_tensor_object, `dtypes` its numbers of float32, float64, bfloat16 and float16; or "
        "None.");
}

void bind_forward(nb::class_<LayerSizes>& sizes) {
    sizes.def(
        "forward_tensors",
        [](const LayerSizes& self, nb::handle input, nb::handle h_0, nb::handle parameters, nb::handle lengths,
           nb::handle reset, nb::handle reset_state, bool batch_first, nb::handle from_pool, bool recomputes,
           int threads) {
            return with_type(self.type, [&]<class T>(Tag<T>) {
                return forward_tensors<T>(self, input, h_0, parameters, {lengths, reset, reset_state}, batch_first,
                                          from_pool, recomputes, threads);
            });
        },
        nb::arg("input"), nb::arg("h_0").none(), nb::arg("parameters"), nb::arg("lengths").none(),
        nb::arg("reset").none(), nb::arg("reset_state").none(), nb::arg("batch_first"), nb::arg("from_pool").none(),
        nb::arg("recomputes"), nb::arg("threads"),
        "Output and h_n, or None where a tensor is not plain, dense and of the right size, or there is no "
        "memory. With a function `from_pool` also what backward needs, as a tensor; the function makes large "
        "ones (POOLED_BYTES) of a number of values and the size of one.");
}

void bind_backward(nb::class_<LayerSizes>& sizes) {
    sizes.def(
        "backward_tensors",
        [](const LayerSizes& self, nb::handle input, nb::handle h_0, nb::handle parameters, nb::handle lengths,
           nb::handle reset, nb::handle reset_state, bool batch_first, nb::handle output, nb::handle saved,
           bool recomputes, nb::handle d_output, nb::handle d_h_n, nb::handle wanted, int threads) {
            return with_type(self.type, [&]<class T>(Tag<T>) {
                return backward_tensors<T>(self, input, h_0, parameters, {lengths, reset, reset_state}, batch_first,
                                           output, saved, recomputes, d_output, d_h_n, wanted, threads);
            });
        },
        nb::arg("input"), nb::arg("h_0").none(), nb::arg("parameters"), nb::arg("lengths").none(),
        nb::arg("reset").none(), nb::arg("reset_state").none(), nb::arg("batch_first"), nb::arg("output"),
        nb::arg("saved"), nb::arg("recomputes"), nb::arg("d_output").none(), nb::arg("d_h_n").none(),
        nb::arg("wanted"), nb::arg("threads"),
        "Gradients of input, h_0, reset_state (one for every row) and parameters, None for those not wanted; "
        "or None as above.");
}

}  // namespace

void bind_tensor_calls(nb::module_& m, nb::class_<LayerSizes>& sizes) {
    bind_load(m);
    bind_forward(sizes);
    bind_backward(sizes);
}

}  // namespace fastgru::python
