// Second derivatives of a layer, from tensors to tensors. A layer's directions (G) stand one after another in each
// tensor. Answers None where one is not plain, dense and of the right size; the caller has operators of torch then.
#include "host/run_tangents.h"
#include "python/read_arguments.h"

namespace fastgru::python {

namespace {

// What is read of one call: pointers of its first direction.
template <class T>
struct Tangent {
    ptrdiff_t groups;
    TangentSteps<T> steps;
};

// The tuple (weight, bias, a, start, and their tangents): those of 3H x H, 3H, T x 1 x B x 3H and 1 x 1 x B x H.
template <class T>
bool read_tangent(Arrays& arrays, const LayerSizes& sizes, nb::handle alive, nb::handle inputs,
                  Tangent<T>& tangent) {
    if (!PyTuple_CheckExact(inputs.ptr()) || NB_TUPLE_GET_SIZE(inputs.ptr()) != 8) return false;
    const auto input = [&](Py_ssize_t i) { return nb::handle(NB_TUPLE_GET_ITEM(inputs.ptr(), i)); };
    TangentSteps<T>& call = tangent.steps;
    ArrayView a;
    if (!arrays.read<T>(input(2), a) || a.dims != 5) return false;
    const int64_t G = a.shape[0], steps = a.shape[1], rows = a.shape[3], H = sizes.spec.hidden_size;
    if (G == 0 || steps == 0 || rows == 0) return false;
    tangent.groups = G, call.steps = steps, call.rows = rows, call.hidden_size = H;
    const bool* is_alive;
    if (!arrays.read_optional(input(0), {G, 3 * H, H}, call.weight) ||
        !arrays.read_optional(input(1), {G, 3 * H}, call.bias) ||
        !arrays.read_optional(input(2), {G, steps, 1, rows, 3 * H}, call.a) ||
        !arrays.read_optional(input(3), {G, 1, 1, rows, H}, call.start) ||
        !arrays.read_optional(input(4), {G, 3 * H, H}, call.d_weight) ||
        !arrays.read_optional(input(5), {G, 3 * H}, call.d_bias) ||
        !arrays.read_optional(input(6), {G, steps, 1, rows, 3 * H}, call.d_a) ||
        !arrays.read_optional(input(7), {G, 1, 1, rows, H}, call.d_start) ||
        !arrays.read_optional(alive, {G, steps, 1, rows, 1}, is_alive))
        return false;
    call.alive = reinterpret_cast<const unsigned char*>(is_alive);
    call.d_start_stride = call.d_start == nullptr ? 0 : H;
    return call.weight != nullptr && call.bias != nullptr && call.start != nullptr;
}

template <class T, class... Back>
void run_without_gil(const Tangent<T>& tangent, int threads, const Back&... back) {
    const KernelTable& table = active_table();
    const ReleasedGil released;
    must_have(run_directions(table, tangent.groups, tangent.steps, back..., threads));
}

template <class T>
nb::object forward_tangent(const LayerSizes& sizes, nb::handle alive, nb::handle inputs, int threads) {
    Arrays arrays(Source::tensors);
    Tangent<T> tangent{};
    if (!read_tangent(arrays, sizes, alive, inputs, tangent)) return nb::none();
    const int64_t G = tangent.groups, steps = tangent.steps.steps, rows = tangent.steps.rows;
    const Shape states{G, steps, 1, rows, sizes.spec.hidden_size};
    const Shape gates{G, steps, 1, rows, 8 * sizes.spec.hidden_size};
    nb::object results[3];
    try {
        results[0] = make(states, tangent.steps.states), results[1] = make(states, tangent.steps.d_states);
        results[2] = make(gates, tangent.steps.gates);
    } catch (const NoMemory&) {
        return nb::none();
    }
    run_without_gil(tangent, threads);
    return nb::make_tuple(results[0], results[1], results[2]);
}

// The results of `forward_tangent`, to be read.
template <class T>
bool read_passed(Arrays& arrays, nb::handle passed, Tangent<T>& tangent) {
    if (!PyTuple_CheckExact(passed.ptr()) || NB_TUPLE_GET_SIZE(passed.ptr()) != 3) return false;
    TangentSteps<T>& call = tangent.steps;
    const int64_t G = tangent.groups, steps = call.steps, rows = call.rows, H = call.hidden_size;
    const T* found[3];
    for (Py_ssize_t i = 0; i < 3; ++i) {
        const nb::handle one(NB_TUPLE_GET_ITEM(passed.ptr(), i));
        if (!arrays.read_dense(one, {G, steps, 1, rows, i < 2 ? H : 8 * H}, found[i])) return false;
    }
    call.states = const_cast<T*>(found[0]), call.d_states = const_cast<T*>(found[1]);
    call.gates = const_cast<T*>(found[2]);
    return true;
}

template <class T>
nb::object backward_tangent(const LayerSizes& sizes, nb::handle alive, nb::handle inputs, nb::handle passed,
                            nb::handle g_states, nb::handle d_g_states, int threads) {
    Arrays arrays(Source::tensors);
    Tangent<T> tangent{};
    if (!read_tangent(arrays, sizes, alive, inputs, tangent) || !read_passed(arrays, passed, tangent))
        return nb::none();
    const int64_t G = tangent.groups, steps = tangent.steps.steps, rows = tangent.steps.rows;
    const int64_t H = sizes.spec.hidden_size;
    TangentBackSteps<T> first{};
    if (!arrays.read_dense(g_states, {G, steps, 1, rows, H}, first.g_states) ||
        !arrays.read_optional(d_g_states, {G, steps, 1, rows, H}, first.d_g_states))
        return nb::none();
    const Shape gates{G, steps, 1, rows, 3 * H}, starts{G, 1, 1, rows, H};
    nb::object results[5];
    try {
        results[0] = make(gates, first.g_a), results[1] = make(gates, first.d_g_a);
        results[2] = make(gates, first.g_c), results[3] = make(gates, first.d_g_c);
        results[4] = make(starts, first.d_g_start);
    } catch (const NoMemory&) {
        return nb::none();
    }
    run_without_gil(tangent, threads, first);
    return nb::make_tuple(results[0], results[1], results[2], results[3], results[4]);
}

// Of the core's type where sums are of that type too.
template <class Visit>
nb::object with_sums(const LayerSizes& sizes, const Visit& visit) {
    if (sizes.type == Type::float64) return visit(Tag<double>());
    if (sizes.type == Type::float32) return visit(Tag<float>());
    return nb::none();
}

}  // namespace

void bind_tangent_calls(nb::class_<LayerSizes>& sizes) {
    sizes
        .def(
            "forward_tangent",
            [](const LayerSizes& self, nb::handle alive, nb::handle inputs, int threads) {
                return with_sums(self,
                                 [&]<class T>(Tag<T>) { return forward_tangent<T>(self, alive, inputs, threads); });
            },
            nb::arg("alive").none(), nb::arg("inputs"), nb::arg("threads"),
            "The states of a layer's directions, their tangents, and what the way back needs; or None.")
        .def(
            "backward_tangent",
            [](const LayerSizes& self, nb::handle alive, nb::handle inputs, nb::handle passed, nb::handle g_states,
               nb::handle d_g_states, int threads) {
                return with_sums(self, [&]<class T>(Tag<T>) {
                    return backward_tangent<T>(self, alive, inputs, passed, g_states, d_g_states, threads);
                });
            },
            nb::arg("alive").none(), nb::arg("inputs"), nb::arg("passed"), nb::arg("g_states"),
            nb::arg("d_g_states").none(), nb::arg("threads"),
            "The gradients of a and their tangents, the same of the hidden projection, and the tangent of start's "
            "gradient; or None.");
}

}  // namespace fastgru::python
