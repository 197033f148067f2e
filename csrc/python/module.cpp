// Python's view of the core: sizes, levels, memory. Calls stand in the files of that name. The GIL is released
// while the core works.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <exception>

#include "python/bindings.h"

namespace nb = nanobind;
using namespace fastgru;
using namespace fastgru::python;

namespace {

// A pooled block that Python sees as a writable buffer.
int get_buffer(PyObject* object, Py_buffer* view, int flags) {
    Block* block = nb::inst_ptr<Block>(object);
    return PyBuffer_FillInfo(view, object, block->data(), Py_ssize_t(block->bytes()), 0, flags);
}

PyType_Slot block_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)}, {0, nullptr}};

Type type_of(const std::string& name) {
    const Type type = type_named(name);
    if (type == Type::int8) throw nb::value_error("weights of 8 bits are those of a float32 layer that is packed");
    return type;
}

template <class T>
void activation(bool is_tanh, Address x, Address y, ptrdiff_t n) {
    const Kernels<T>& kernels = kernels_of<T>(active_table());
    (is_tanh ? kernels.tanh : kernels.sigmoid)(reinterpret_cast<const T*>(x), reinterpret_cast<T*>(y), n);
}

// The words for what happened are Python's, in fastgru.errors.
void tell_python(const std::exception_ptr& thrown, void*) {
    try {
        std::rethrow_exception(thrown);
    } catch (const OutOfMemory& lack) {
        const nb::object make = nb::module_::import_("fastgru.errors").attr("out_of_memory");
        const nb::object error = make(lack.bytes);
        PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
    }
}

nb::class_<LayerSizes> bind_sizes(nb::module_& m) {
    nb::class_<LayerSizes> sizes(m, "LayerSizes", "Sizes and element type of a layer.");
    sizes.def(
        "__init__",
        [](LayerSizes* self, ptrdiff_t input_size, ptrdiff_t hidden_size, ptrdiff_t num_layers,
           ptrdiff_t num_directions, bool bias, const std::string& type, bool reset_after) {
            const Spec spec{
                .input_size = input_size,
                .hidden_size = hidden_size,
                .num_layers = num_layers,
                .num_directions = num_directions,
                .reset_after = reset_after,
            };
            if (input_size < 0 || hidden_size < 1 || num_layers < 1 || num_directions < 1 || num_directions > 2 ||
                spec.cells() > kMostCells)
                throw nb::value_error("the core does not take a layer of these sizes");
            new (self) LayerSizes{spec, bias, type_of(type)};
        },
        nb::arg("input_size"), nb::arg("hidden_size"), nb::arg("num_layers"), nb::arg("num_directions"),
        nb::arg("bias"), nb::arg("type"), nb::arg("reset_after") = true);
    return sizes;
}

void bind_memory(nb::module_& m) {
    nb::class_<Block>(
        m, "Block", nb::type_slots(block_slots),
        "Memory from the pool, as a writable buffer. As every call, raises OutOfMemoryError where there is none.")
        .def("__init__", [](Block* self, size_t bytes) { new (self) Block(borrow(bytes)); }, nb::arg("bytes"));
    m.attr("POOLED_BYTES") = kPooledBytes;
    m.def("pooled_bytes", pooled_bytes, "Bytes of scratch memory that wait for the next call.");
    m.def("set_poison", set_poison, nb::arg("is_on"), "Hand scratch memory out full of NaN, for tests.");
}

void bind_levels(nb::module_& m) {
    m.def(
        "levels",
        [] {
            const Level* level;
            std::vector<std::tuple<std::string, bool>> rows;
            for (int left = levels(&level); left > 0; --left, ++level)
                rows.emplace_back(level->table->name, level->is_available);
            return rows;
        },
        "Instruction-set levels of this build, best first: (name, available on this machine).");
    m.def("active_level", [] { return active_table().name; });
    m.def("set_active_level", set_active_level, nb::arg("name"), "False when the level cannot run here.");
}

void bind_measurements(nb::module_& m) {
    m.def(
        "activation",
        [](bool is_tanh, bool is_double, Address x, Address y, ptrdiff_t n) {
            (is_double ? activation<double> : activation<float>)(is_tanh, x, y, n);
        },
        nb::arg("is_tanh"), nb::arg("is_double"), nb::arg("x"), nb::arg("y"), nb::arg("n"),
        "Sigmoid or tanh of n values, by the kernels of the active level.");
    m.def(
        "fma_chains",
        [](bool is_double, ptrdiff_t rounds) {
            const KernelTable& table = active_table();
            const ReleasedGil released;
            return is_double ? table.float64.fma_chains(1, rounds) : table.float32.fma_chains(1, rounds);
        },
        nb::arg("is_double"), nb::arg("rounds"),
        "Independent multiply-adds at the active level; returns how many, exactly for up to 2**24 rounds.");
    m.def(
        "read_all",
        [](Address values, ptrdiff_t n, ptrdiff_t repeats) {
            const KernelTable& table = active_table();
            const ReleasedGil released;
            return table.float32.read_all(reinterpret_cast<const float*>(values), n, repeats);
        },
        nb::arg("values"), nb::arg("n"), nb::arg("repeats"),
        "Reads n float32 `repeats` times at the active level; returns their sum.");
}

// A build for one machine's processor (FASTGRU_NATIVE) may be loaded on another machine.
void check_levels() {
    const Level* level;
    for (int left = levels(&level); left > 0; --left, ++level)
        if (level->is_available) return;
    throw nb::import_error(
        "fastgru was built for the processor of another machine: build and install it again on this one");
}

}  // namespace

NB_MODULE(_core, m) {
    check_levels();
    m.doc() = "The native core of fastgru: a stacked, bidirectional GRU on raw memory.";
    // A graph that lives until the interpreter ends keeps its buffers that long; this is no leak to warn of.
    nb::set_leak_warnings(false);
    nb::register_exception_translator(tell_python);

    m.attr("MOST_CELLS") = kMostCells;
    bind_load_tensors(m);
    bind_array_at(m);
    bind_models(m);
    nb::class_<LayerSizes> sizes = bind_sizes(m);
    bind_layer_calls(sizes);
    bind_tangent_calls(sizes);
    bind_packed_calls(m);
    bind_stepper(m);
    bind_row_calls(m);
    bind_program(m);
    bind_memory(m);
    bind_levels(m);
    bind_measurements(m);
}
