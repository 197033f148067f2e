// Calls of the core from torch tensors to torch tensors, for tensors as plain as nearly all are: dense, on the CPU,
// of the right type and size. Each answers None where one is not; the caller has another, slower way, which also
// finds the words for what is wrong.
#include "tensor_arguments.h"

namespace fastgru::python {

tensors::Tensors torch_tensors;

namespace {

template <class T>
nb::object forward_tensors(const Core& core, nb::handle input, nb::handle h_0, nb::handle parameters,
                           const Bounds& bounds, bool batch_first, Address saved, bool recomputes, int threads) {
    Cell<T> cells[kMostCells];
    if (!read_parameters(core, parameters, cells)) return nb::none();
    Forward<T> call{};
    call.spec = core.spec;
    call.cells = cells;
    call.saved = reinterpret_cast<Sum<T>*>(saved);
    call.recomputes = recomputes;
    call.threads = threads;
    return forward_with(call, input, h_0, bounds, batch_first, [&] { run_in_workspace(call); });
}

template <class T>
nb::object backward_tensors(const Core& core, nb::handle input, nb::handle h_0, nb::handle parameters,
                            const Bounds& bounds, bool batch_first, nb::handle output, Address saved,
                            bool recomputes, nb::handle d_output, nb::handle d_h_n, nb::handle wanted,
                            int threads) {
    const Spec& spec = core.spec;
    Cell<T> cells[kMostCells];
    CellGradients<T> d_cells[kMostCells];
    Backward<T> call{};
    Batch d_batch;
    if (!read_sequence(input, spec.input_size, batch_first, call.input, call.batch)) return nb::none();
    const int64_t steps = call.batch.steps, rows = call.batch.rows, H = spec.hidden_size;
    const int64_t features = spec.num_directions * H;
    if (!d_output.is_none() && (!read_sequence(d_output, features, batch_first, call.d_output, d_batch) ||
                                d_batch.steps != steps || d_batch.rows != rows))
        return nb::none();
    const T* output_data;
    if (!read_optional(h_0, {spec.cells(), rows, H}, call.h_0) ||
        !read_optional(d_h_n, {spec.cells(), rows, H}, call.d_h_n) ||
        !read_optional(output, {batch_first ? rows : steps, batch_first ? steps : rows, features}, output_data) ||
        !read_bounds(bounds, spec, batch_first, call.batch, call.resets) ||
        !read_parameters(core, parameters, cells))
        return nb::none();
    call.output = dense_sequence(output_data, call.batch, features, batch_first);

    const ptrdiff_t per_cell = core.tensors_per_cell(), count = 3 + spec.cells() * per_cell;
    if (!PyTuple_CheckExact(wanted.ptr()) || PyTuple_GET_SIZE(wanted.ptr()) != count) return nb::none();
    nb::object gradients = nb::steal(PyTuple_New(count));
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
        d_cells[cell] = {gradient(i, 3 * H, int64_t(spec.width(cell / spec.num_directions))),
                         gradient(i + 1, 3 * H, H), core.has_bias ? gradient(i + 2, 3 * H) : nullptr,
                         core.has_bias ? gradient(i + 3, 3 * H) : nullptr};
    }
    call.spec = spec;
    call.cells = cells;
    call.saved = reinterpret_cast<const Sum<T>*>(saved);
    call.recomputes = recomputes;
    call.d_cells = d_cells;
    call.threads = threads;
    run_in_workspace(call);
    return gradients;
}

}  // namespace

void bind_tensor_calls(nb::module_& m, nb::class_<Core>& core) {
    m.def(
        "load_tensors", [](nb::tuple types) { return torch_tensors.load(types); }, nb::arg("types"),
        "Makes calls on tensors of these types usable; False when this torch lacks the table of functions for it.");

    core.def(
            "forward_tensors",
            [](const Core& self, nb::handle input, nb::handle h_0, nb::handle parameters, nb::handle lengths,
               nb::handle reset, nb::handle reset_state, bool batch_first, Address saved, bool recomputes,
               int threads) {
                return with_type(self.type, [&]<class T>(Tag<T>) {
                    return forward_tensors<T>(self, input, h_0, parameters, {lengths, reset, reset_state},
                                              batch_first, saved, recomputes, threads);
                });
            },
            nb::arg("input"), nb::arg("h_0").none(), nb::arg("parameters"), nb::arg("lengths").none(),
            nb::arg("reset").none(), nb::arg("reset_state").none(), nb::arg("batch_first"), nb::arg("saved"),
            nb::arg("recomputes"), nb::arg("threads"),
            "Output and h_n, or None where a tensor is not plain, dense and of the right size; what backward needs "
            "goes to the address `saved`.")
        .def(
            "backward_tensors",
            [](const Core& self, nb::handle input, nb::handle h_0, nb::handle parameters, nb::handle lengths,
               nb::handle reset, nb::handle reset_state, bool batch_first, nb::handle output, Address saved,
               bool recomputes, nb::handle d_output, nb::handle d_h_n, nb::handle wanted, int threads) {
                return with_type(self.type, [&]<class T>(Tag<T>) {
                    return backward_tensors<T>(self, input, h_0, parameters, {lengths, reset, reset_state},
                                               batch_first, output, saved, recomputes, d_output, d_h_n, wanted,
                                               threads);
                });
            },
            nb::arg("input"), nb::arg("h_0").none(), nb::arg("parameters"), nb::arg("lengths").none(),
            nb::arg("reset").none(), nb::arg("reset_state").none(), nb::arg("batch_first"), nb::arg("output"),
            nb::arg("saved"), nb::arg("recomputes"), nb::arg("d_output").none(), nb::arg("d_h_n").none(),
            nb::arg("wanted"), nb::arg("threads"),
            "Gradients of input, h_0, reset_state (one for every row) and parameters, None for those not wanted; "
            "or "
            "None as above.");
}

}  // namespace fastgru::python
