// Calls of frozen layers, with parameters that were packed before.
#include <nanobind/stl/string.h>

#include <utility>

#include "python/forward_call.h"
#include "python/packed_parameters.h"

namespace fastgru::python {

namespace {

// As the forward pass of LayerSizes; False when a parameter was written to after packing.
template <class T, class S>
nb::object forward_packed(const Packed& packed, const InputArguments& inputs, nb::handle parameters, int threads) {
    if (!packed.holds(parameters)) return nb::none();
    if (!packed.is_current()) return nb::borrow(Py_False);
    Forward<T, S> call{};
    call.spec = packed.sizes().spec;
    call.packed = packed.values();
    call.threads = threads;
    Arrays arrays(Source::tensors);
    const ResultArguments made{.from_pool = nb::handle(Py_None), .results = nb::handle(Py_None)};
    return forward_with(arrays, packed.sizes(), inputs, made, kOneModel, call);
}

}  // namespace

void bind_packed_calls(nb::module_& m) {
    m.attr("LEAST_QUANTIZED") = kLeastQuantized;
    nb::class_<Packed>(m, "Packed", "Parameters packed once for many calls.")
        .def(
            "__init__",
            [](Packed* self, const LayerSizes& sizes, nb::tuple parameters, nb::tuple watches, nb::tuple dense,
               const std::string& stored) {
                new (self) Packed(sizes, type_named(stored), std::move(parameters), watches, dense);
            },
            nb::arg("sizes"), nb::arg("parameters"), nb::arg("watches"), nb::arg("dense"), nb::arg("stored"))
        .def("is_current", &Packed::is_current, "False when a parameter was written to since.")
        .def(
            "forward",
            [](const Packed& self, nb::handle input, nb::handle h_0, nb::handle parameters, nb::handle batch_sizes,
               nb::handle lengths, nb::handle reset, nb::handle reset_state, bool batch_first, int threads) {
                const InputArguments inputs{input, h_0, {batch_sizes, lengths, reset, reset_state}, batch_first};
                return with_types(self.sizes().type, self.stored(), [&]<class T, class S>(Tag<T>, Tag<S>) {
                    return forward_packed<T, S>(self, inputs, parameters, threads);
                });
            },
            nb::arg("input"), nb::arg("h_0").none(), nb::arg("parameters"), nb::arg("batch_sizes").none(),
            nb::arg("lengths").none(), nb::arg("reset").none(), nb::arg("reset_state").none(),
            nb::arg("batch_first"), nb::arg("threads"),
            "Output and h_n; None where a tensor cannot be read as it is or these are other parameters; False when "
            "one of them was written to since.");
}

}  // namespace fastgru::python
