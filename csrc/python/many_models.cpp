#include "python/many_models.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/unordered_map.h>
#include <nanobind/stl/vector.h>

#include <utility>

namespace fastgru::python {

Shifts shifts_of(const std::unordered_map<std::string, ptrdiff_t>& by_name) {
    static const std::unordered_map<std::string, ptrdiff_t Shifts::*> places{
        {"lengths", &Shifts::lengths},
        {"input", &Shifts::input},
        {"h_0", &Shifts::h_0},
        {"reset", &Shifts::reset},
        {"reset_state", &Shifts::reset_state},
        {"output", &Shifts::output},
        {"h_n", &Shifts::h_n},
        {"saved", &Shifts::saved},
        {"d_output", &Shifts::d_output},
        {"d_h_n", &Shifts::d_h_n},
        {"d_input", &Shifts::d_input},
        {"d_h_0", &Shifts::d_h_0},
        {"d_reset", &Shifts::d_reset},
    };
    Shifts shifts;
    for (const auto& [name, bytes] : by_name) {
        const auto place = places.find(name);
        if (place == places.end()) throw nb::value_error("the core knows no tensor of this name");
        shifts.*(place->second) = bytes;
    }
    return shifts;
}

void bind_models(nb::module_& m) {
    nb::class_<Models>(m, "Models", "Calls of several models of one size, side by side in memory.")
        .def(
            "__init__",
            [](Models* self, ptrdiff_t count, const std::unordered_map<std::string, ptrdiff_t>& tensors,
               std::vector<ptrdiff_t> parameters, std::vector<ptrdiff_t> d_parameters) {
                new (self) Models{
                    .count = count,
                    .tensors = shifts_of(tensors),
                    .parameters = std::move(parameters),
                    .d_parameters = std::move(d_parameters),
                };
            },
            nb::arg("count"), nb::arg("tensors"), nb::arg("parameters"), nb::arg("d_parameters"),
            "Bytes from one model to the next: by the names of the arguments, where they are not 0, and for each "
            "parameter.");
}

}  // namespace fastgru::python
