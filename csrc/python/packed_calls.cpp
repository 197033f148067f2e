// Calls of frozen layers, with parameters that were packed before.
#include "python/packed_parameters.h"

namespace fastgru::python {

namespace {

// As forward_tensors; False when a parameter was written to after packing.
template <class T>
nb::object forward_packed(const Packed& packed, nb::handle input, nb::handle h_0, nb::handle parameters,
                          const SequenceArguments& sequences, bool batch_first, int threads) {
    if (!packed.holds(parameters)) return nb::none();
    if (!packed.is_current()) return nb::borrow(Py_False);
    Forward<T> call{};
    call.spec = packed.sizes().spec;
    call.packed = packed.values();
    call.threads = threads;
    Arguments arguments;
    if (!read_input(arguments, input, batch_first, call)) return nb::none();
    return forward_with(call, arguments, h_0, sequences, batch_first, nb::none());
}

}  // namespace

void bind_packed_calls(nb::module_& m) {
    nb::class_<Packed>(m, "Packed", "Parameters packed once for many calls.")
        .def(nb::init<const LayerSizes&, nb::tuple, nb::tuple, nb::tuple>(), nb::arg("sizes"),
             nb::arg("parameters"), nb::arg("watches"), nb::arg("dense"))
        .def("is_current", &Packed::is_current, "False when a parameter was written to since.")
        .def(
            "forward_tensors",
            [](const Packed& self, nb::handle input, nb::handle h_0, nb::handle parameters, nb::handle lengths,
               nb::handle reset, nb::handle reset_state, bool batch_first, int threads) {
                return with_type(self.sizes().type, [&]<class T>(Tag<T>) {
                    return forward_packed<T>(self, input, h_0, parameters, {lengths, reset, reset_state},
                                             batch_first, threads);
                });
            },
            nb::arg("input"), nb::arg("h_0").none(), nb::arg("parameters"), nb::arg("lengths").none(),
            nb::arg("reset").none(), nb::arg("reset_state").none(), nb::arg("batch_first"), nb::arg("threads"),
            "Output and h_n; None where a tensor is not plain or these are other parameters; False when one of "
            "them was written to since.");
}

}  // namespace fastgru::python
