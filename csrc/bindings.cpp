// Python's view of the core. Arguments have been checked by the callers in src/fastgru/backends; here they are only
// taken apart. Memory comes as addresses (reading an address from a tensor takes 0.1 us, an array object 1 to 4
// us); 0 is null. The GIL is released while the core works.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"

namespace nb = nanobind;
using namespace fastgru;
using namespace fastgru::python;

namespace {

template <class P>
P* at(Address address) {
    return reinterpret_cast<P*>(address);
}

// Addresses of all parameters (or of their gradients), in torch's order.
template <class C, class P>
void read_cells(const Core& core, nb::handle addresses, C* cells) {
    PyObject* sequence = addresses.ptr();
    const ptrdiff_t per_cell = core.tensors_per_cell();
    if (!PyTuple_CheckExact(sequence) || PyTuple_GET_SIZE(sequence) != core.spec.cells() * per_cell)
        throw nb::value_error("the core takes one address for every parameter, in a tuple");
    const auto read = [&](ptrdiff_t i) {
        const size_t address = PyLong_AsSize_t(PyTuple_GET_ITEM(sequence, i));
        if (address == size_t(-1) && PyErr_Occurred()) throw nb::python_error();
        return at<P>(address);
    };
    for (ptrdiff_t cell = 0; cell < core.spec.cells(); ++cell) {
        const ptrdiff_t i = cell * per_cell;
        cells[cell] = {read(i), read(i + 1), core.has_bias ? read(i + 2) : nullptr,
                       core.has_bias ? read(i + 3) : nullptr};
    }
}

template <class T>
Sequence<const T> sequence(Address data, ptrdiff_t step_stride, ptrdiff_t row_stride, bool is_flat) {
    return {at<const T>(data), row_stride, step_stride, is_flat};
}

template <class T>
void forward(const Core& core, const Batch& batch, Address input, ptrdiff_t step_stride, ptrdiff_t row_stride,
             Address h_0, nb::handle parameters, Address output, Address h_n, Address saved, bool recomputes,
             int threads) {
    Cell<T> cells[kMostCells];
    read_cells<Cell<T>, const T>(core, parameters, cells);
    const bool is_flat = batch.batch_sizes != nullptr;
    run_in_workspace<T>(Forward<T>{core.spec, batch, sequence<T>(input, step_stride, row_stride, is_flat),
                                   at<const T>(h_0), cells, at<T>(output), at<T>(h_n), at<T>(saved), recomputes,
                                   threads, false, nullptr});
}

template <class T>
void backward(const Core& core, const Batch& batch, Address input, ptrdiff_t step_stride, ptrdiff_t row_stride,
              Address h_0, nb::handle parameters, Address output, Address saved, bool recomputes, Address d_output,
              ptrdiff_t d_step_stride, ptrdiff_t d_row_stride, Address d_h_n, Address d_input, Address d_h_0,
              nb::handle d_parameters, int threads) {
    Cell<T> cells[kMostCells];
    CellGradients<T> d_cells[kMostCells];
    read_cells<Cell<T>, const T>(core, parameters, cells);
    read_cells<CellGradients<T>, T>(core, d_parameters, d_cells);
    const bool is_flat = batch.batch_sizes != nullptr;
    run_in_workspace<T>(Backward<T>{core.spec, batch, sequence<T>(input, step_stride, row_stride, is_flat),
                                    at<const T>(h_0), cells, at<const T>(output), at<const T>(saved), recomputes,
                                    sequence<T>(d_output, d_step_stride, d_row_stride, is_flat), at<const T>(d_h_n),
                                    at<T>(d_input), at<T>(d_h_0), d_cells, threads, false});
}

// A pooled block that Python sees as a writable buffer.
int get_buffer(PyObject* object, Py_buffer* view, int flags) {
    Block* block = nb::inst_ptr<Block>(object);
    return PyBuffer_FillInfo(view, object, block->data(), Py_ssize_t(block->bytes()), 0, flags);
}

PyType_Slot block_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)}, {0, nullptr}};

template <class T>
void activation(bool is_tanh, Address x, Address y, ptrdiff_t n) {
    const Kernels<T>& kernels = kernels_of<T>(active_table());
    (is_tanh ? kernels.tanh : kernels.sigmoid)(at<const T>(x), at<T>(y), n);
}

}  // namespace

NB_MODULE(_core, m) {
    m.doc() = "The native core of fastgru: a stacked, bidirectional GRU on raw memory.";
    // A graph that lives until the interpreter ends keeps its buffers that long; this is no leak to warn of.
    nb::set_leak_warnings(false);

    nb::class_<Core> core(m, "Core", "Sizes and element type of a layer.");
    core.def(
            "__init__",
            [](Core* self, ptrdiff_t input_size, ptrdiff_t hidden_size, ptrdiff_t num_layers,
               ptrdiff_t num_directions, bool bias, bool is_double) {
                new (self) Core{{input_size, hidden_size, num_layers, num_directions}, bias, is_double};
            },
            nb::arg("input_size"), nb::arg("hidden_size"), nb::arg("num_layers"), nb::arg("num_directions"),
            nb::arg("bias"), nb::arg("is_double"))
        .def(
            "saved_values",
            [](const Core& core, ptrdiff_t steps, ptrdiff_t rows, Address batch_sizes, bool recomputes) {
                return saved_values(core.spec, {steps, rows, at<const int64_t>(batch_sizes)}, recomputes);
            },
            nb::arg("steps"), nb::arg("rows"), nb::arg("batch_sizes"), nb::arg("recomputes"),
            "How many values a training forward leaves for the backward pass.")
        .def(
            "forward",
            [](const Core& core, ptrdiff_t steps, ptrdiff_t rows, Address batch_sizes, Address input,
               ptrdiff_t step_stride, ptrdiff_t row_stride, Address h_0, nb::handle parameters, Address output,
               Address h_n, Address saved, bool recomputes, int threads) {
                const auto call = core.is_double ? forward<double> : forward<float>;
                call(core, {steps, rows, at<const int64_t>(batch_sizes)}, input, step_stride, row_stride, h_0,
                     parameters, output, h_n, saved, recomputes, threads);
            },
            nb::arg("steps"), nb::arg("rows"), nb::arg("batch_sizes"), nb::arg("input"), nb::arg("step_stride"),
            nb::arg("row_stride"), nb::arg("h_0"), nb::arg("parameters"), nb::arg("output"), nb::arg("h_n"),
            nb::arg("saved"), nb::arg("recomputes"), nb::arg("threads"),
            "Writes output and h_n, and what backward needs where `saved` is given.")
        .def(
            "backward",
            [](const Core& core, ptrdiff_t steps, ptrdiff_t rows, Address batch_sizes, Address input,
               ptrdiff_t step_stride, ptrdiff_t row_stride, Address h_0, nb::handle parameters, Address output,
               Address saved, bool recomputes, Address d_output, ptrdiff_t d_step_stride, ptrdiff_t d_row_stride,
               Address d_h_n, Address d_input, Address d_h_0, nb::handle d_parameters, int threads) {
                const auto call = core.is_double ? backward<double> : backward<float>;
                call(core, {steps, rows, at<const int64_t>(batch_sizes)}, input, step_stride, row_stride, h_0,
                     parameters, output, saved, recomputes, d_output, d_step_stride, d_row_stride, d_h_n, d_input,
                     d_h_0, d_parameters, threads);
            },
            nb::arg("steps"), nb::arg("rows"), nb::arg("batch_sizes"), nb::arg("input"), nb::arg("step_stride"),
            nb::arg("row_stride"), nb::arg("h_0"), nb::arg("parameters"), nb::arg("output"), nb::arg("saved"),
            nb::arg("recomputes"), nb::arg("d_output"), nb::arg("d_step_stride"), nb::arg("d_row_stride"),
            nb::arg("d_h_n"), nb::arg("d_input"), nb::arg("d_h_0"), nb::arg("d_parameters"), nb::arg("threads"),
            "Writes the gradients whose address is not 0.");

    nb::class_<Block>(m, "Block", nb::type_slots(block_slots), "Memory from the pool, as a writable buffer.")
        .def(
            "__init__",
            [](Block* self, size_t bytes) {
                new (self) Block(bytes);
                if (self->data() == nullptr) throw std::bad_alloc();
            },
            nb::arg("bytes"));

    m.attr("MOST_CELLS") = kMostCells;
    bind_tensor_calls(m, core);
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
    m.def("pooled_bytes", pooled_bytes, "Bytes of scratch memory that wait for the next call.");
    m.def("set_poison", set_poison, nb::arg("is_on"), "Hand scratch memory out full of NaN, for tests.");
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
            const nb::gil_scoped_release released;
            return is_double ? table.float64.fma_chains(1, rounds) : table.float32.fma_chains(1, rounds);
        },
        nb::arg("is_double"), nb::arg("rounds"),
        "Independent multiply-adds at the active level; returns how many, exactly for up to 2**24 rounds.");
    m.def(
        "read_all",
        [](Address values, ptrdiff_t n, ptrdiff_t repeats) {
            const KernelTable& table = active_table();
            const nb::gil_scoped_release released;
            return table.float32.read_all(at<const float>(values), n, repeats);
        },
        nb::arg("values"), nb::arg("n"), nb::arg("repeats"),
        "Reads n float32 `repeats` times at the active level; returns their sum.");
}
