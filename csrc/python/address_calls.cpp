// Calls of the core on memory by address, for whatever tensors it belongs to. Arguments have been checked by the
// callers in src/fastgru/backends. Addresses are cheap (0.1 us from a tensor, where an array object takes 1 to 4
// us); 0 is null.
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <tuple>
#include <vector>

#include "python/bindings.h"

namespace fastgru::python {

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
        cells[cell] = {
            .weight_ih = read(i),
            .weight_hh = read(i + 1),
            .bias_ih = core.has_bias ? read(i + 2) : nullptr,
            .bias_hh = core.has_bias ? read(i + 3) : nullptr,
        };
    }
}

// Address, step stride and row stride of vectors, in elements.
using Place = std::tuple<Address, ptrdiff_t, ptrdiff_t>;
// Steps, rows, vectors of packed data, and the addresses of batch sizes and lengths.
using Bounds = std::tuple<ptrdiff_t, ptrdiff_t, ptrdiff_t, Address, Address>;
// Address and number of values.
using Saved = std::tuple<Address, size_t>;
// The marks, and address and row stride of the state that they bring.
using Reset = std::tuple<Place, Address, ptrdiff_t>;

template <class T>
Sequence<T> sequence(const Place& place, bool is_flat) {
    const auto [address, step_stride, row_stride] = place;
    return {.data = at<T>(address), .row_stride = row_stride, .step_stride = step_stride, .is_flat = is_flat};
}

template <class T>
Resets<T> resets_of(const Reset& reset) {
    const auto [marks, state, stride] = reset;
    return {
        .marks = at<const unsigned char>(std::get<0>(marks)),
        .step_stride = std::get<1>(marks),
        .row_stride = std::get<2>(marks),
        .state = at<const T>(state),
        .state_stride = stride,
    };
}

// Several models of one size, each with its own call: how far it is from one to the next, in bytes, in each tensor.
struct Models {
    ptrdiff_t count;
    std::vector<ptrdiff_t> tensors, parameters, d_parameters;
};
enum { kLengths, kInput, kH0, kMarks, kResetState, kOutput, kState, kSaved, kDOutput, kDInput, kDState, kDReset };

// Whether the core can go by these sizes: never growing, at least 1, and as many as there are vectors.
bool are_batch_sizes(const std::vector<int64_t>& sizes, ptrdiff_t rows, ptrdiff_t vectors) {
    int64_t last = rows, sum = 0;
    for (const int64_t size : sizes) {
        if (size < 1 || size > last) return false;
        last = size;
        sum += size;
    }
    return !sizes.empty() && sizes[0] == rows && sum == vectors;
}

// How the sequences of all models end. Batch sizes and lengths decide where the core writes, and they are the
// caller's; so they are copied while the GIL is held, and only the copies are looked at.
class OwnBatches {
  public:
    OwnBatches(const Bounds& bounds, const Models& models) {
        const auto [steps, rows, vectors, batch_sizes, lengths] = bounds;
        batch_ = {.steps = steps, .rows = rows};
        if (batch_sizes != 0) {
            values_.assign(at<const int64_t>(batch_sizes), at<const int64_t>(batch_sizes) + steps);
            if (!are_batch_sizes(values_, rows, vectors)) throw nb::value_error("batch sizes do not fit the data");
            batch_.batch_sizes = values_.data();
        }
        if (lengths != 0) {
            const ptrdiff_t shift = models.count == 1 ? 0 : models.tensors[kLengths] / ptrdiff_t(sizeof(int64_t));
            for (ptrdiff_t i = 0; i < (shift == 0 ? 1 : models.count); ++i) {
                const int64_t* first = at<const int64_t>(lengths) + i * shift;
                values_.insert(values_.end(), first, first + rows);
            }
            shift_ = shift == 0 ? 0 : rows;
        }
    }

    Batch of_model(ptrdiff_t model) const {
        Batch batch = batch_;
        const bool has_lengths = batch.batch_sizes == nullptr && !values_.empty();
        if (has_lengths && !bound(batch, values_.data() + model * shift_))
            throw nb::value_error("lengths are not between 0 and the number of steps");
        return batch;
    }

  private:
    Batch batch_{};
    std::vector<int64_t> values_;
    ptrdiff_t shift_ = 0;
};

// Memory for what one model's forward pass leaves; an error where it is too small.
template <class P, class T>
P* saved_at(const Saved& saved, const Spec& spec, const Batch& batch, bool recomputes) {
    const auto [address, count] = saved;
    if (address != 0 && count < saved_values<T>(spec, batch, recomputes))
        throw nb::value_error("the memory for what the backward pass needs is too small for these lengths");
    return at<P>(address);
}

template <class P>
void move(P*& pointer, ptrdiff_t bytes) {
    if (pointer != nullptr) pointer = reinterpret_cast<P*>(reinterpret_cast<Address>(pointer) + size_t(bytes));
}

template <class C>
C moved(C cell, const std::vector<ptrdiff_t>& by, ptrdiff_t first, ptrdiff_t model) {
    const size_t i = size_t(first);
    move(cell.weight_ih, by[i] * model);
    move(cell.weight_hh, by[i + 1] * model);
    if (cell.bias_ih != nullptr) move(cell.bias_ih, by[i + 2] * model);
    if (cell.bias_hh != nullptr) move(cell.bias_hh, by[i + 3] * model);
    return cell;
}

// Call is Forward or Backward.
template <class Call>
void move_inputs(Call& call, const std::vector<ptrdiff_t>& by, ptrdiff_t model) {
    move(call.input.data, by[kInput] * model);
    move(call.h_0, by[kH0] * model);
    move(call.resets.marks, by[kMarks] * model);
    move(call.resets.state, by[kResetState] * model);
}

template <class Call>
void run_all(std::vector<Call>& calls, int threads) {
    const KernelTable& table = active_table();
    const nb::gil_scoped_release released;
    must_have(run_calls(table, calls.data(), ptrdiff_t(calls.size()), threads));
}

// Everything of a forward call.
struct ForwardArguments {
    Bounds bounds;
    Place input;
    Address h_0;
    Reset reset;
    nb::handle parameters;
    Place output;
    Address h_n;
    Saved saved;
    bool recomputes;
    int threads;
    const Models& models;
};

template <class T>
void forward(const Core& core, const ForwardArguments& a) {
    Cell<T> cells[kMostCells];
    read_cells<Cell<T>, const T>(core, a.parameters, cells);
    const OwnBatches batches(a.bounds, a.models);
    const Batch batch = batches.of_model(0);
    const bool is_flat = batch.batch_sizes != nullptr;
    const Forward<T> call{
        .spec = core.spec,
        .batch = batch,
        .input = sequence<const T>(a.input, is_flat),
        .h_0 = at<const T>(a.h_0),
        .resets = resets_of<T>(a.reset),
        .cells = cells,
        .output = sequence<T>(a.output, is_flat),
        .h_n = at<T>(a.h_n),
        .saved = saved_at<Sum<T>, T>(a.saved, core.spec, batch, a.recomputes),
        .recomputes = a.recomputes,
        .threads = a.threads,
    };
    if (a.models.count == 1) return run_one(call);
    const ptrdiff_t own = core.spec.cells();
    std::vector<Cell<T>> all;
    std::vector<Forward<T>> calls(size_t(a.models.count), call);
    for (ptrdiff_t i = 0; i < a.models.count; ++i) {
        for (ptrdiff_t cell = 0; cell < own; ++cell)
            all.push_back(moved(cells[cell], a.models.parameters, cell * core.tensors_per_cell(), i));
        Forward<T>& one = calls[size_t(i)];
        const std::vector<ptrdiff_t>& by = a.models.tensors;
        one.batch = batches.of_model(i);
        saved_at<Sum<T>, T>(a.saved, core.spec, one.batch, a.recomputes);
        move_inputs(one, by, i);
        move(one.output.data, by[kOutput] * i);
        move(one.h_n, by[kState] * i);
        move(one.saved, by[kSaved] * i);
    }
    for (ptrdiff_t i = 0; i < a.models.count; ++i) calls[size_t(i)].cells = all.data() + i * own;
    run_all(calls, a.threads);
}

struct BackwardArguments {
    Bounds bounds;
    Place input;
    Address h_0;
    Reset reset;
    nb::handle parameters;
    Place output;
    Saved saved;
    bool recomputes;
    Place d_output;
    Address d_h_n;
    Place d_input;
    Address d_h_0, d_reset;
    nb::handle d_parameters;
    int threads;
    const Models& models;
};

template <class T>
void backward(const Core& core, const BackwardArguments& a) {
    Cell<T> cells[kMostCells];
    CellGradients<T> d_cells[kMostCells];
    read_cells<Cell<T>, const T>(core, a.parameters, cells);
    read_cells<CellGradients<T>, T>(core, a.d_parameters, d_cells);
    const OwnBatches batches(a.bounds, a.models);
    const Batch batch = batches.of_model(0);
    const bool is_flat = batch.batch_sizes != nullptr;
    const Backward<T> call{
        .spec = core.spec,
        .batch = batch,
        .input = sequence<const T>(a.input, is_flat),
        .h_0 = at<const T>(a.h_0),
        .resets = resets_of<T>(a.reset),
        .cells = cells,
        .output = sequence<const T>(a.output, is_flat),
        .saved = saved_at<const Sum<T>, T>(a.saved, core.spec, batch, a.recomputes),
        .recomputes = a.recomputes,
        .d_output = sequence<const T>(a.d_output, is_flat),
        .d_h_n = at<const T>(a.d_h_n),
        .d_input = sequence<T>(a.d_input, is_flat),
        .d_h_0 = at<T>(a.d_h_0),
        .d_reset = at<T>(a.d_reset),
        .d_cells = d_cells,
        .threads = a.threads,
    };
    if (a.models.count == 1) return run_one(call);
    const ptrdiff_t own = core.spec.cells();
    std::vector<Cell<T>> all;
    std::vector<CellGradients<T>> d_all;
    std::vector<Backward<T>> calls(size_t(a.models.count), call);
    for (ptrdiff_t i = 0; i < a.models.count; ++i) {
        for (ptrdiff_t cell = 0; cell < own; ++cell) {
            const ptrdiff_t first = cell * core.tensors_per_cell();
            all.push_back(moved(cells[cell], a.models.parameters, first, i));
            d_all.push_back(moved(d_cells[cell], a.models.d_parameters, first, i));
        }
        Backward<T>& one = calls[size_t(i)];
        const std::vector<ptrdiff_t>& by = a.models.tensors;
        one.batch = batches.of_model(i);
        saved_at<const Sum<T>, T>(a.saved, core.spec, one.batch, a.recomputes);
        move_inputs(one, by, i);
        move(one.output.data, by[kOutput] * i);
        move(one.d_h_n, by[kState] * i);
        move(one.saved, by[kSaved] * i);
        move(one.d_output.data, by[kDOutput] * i);
        move(one.d_input.data, by[kDInput] * i);
        move(one.d_h_0, by[kDState] * i);
        move(one.d_reset, by[kDReset] * i);
    }
    for (ptrdiff_t i = 0; i < a.models.count; ++i) {
        calls[size_t(i)].cells = all.data() + i * own;
        calls[size_t(i)].d_cells = d_all.data() + i * own;
    }
    run_all(calls, a.threads);
}

}  // namespace

void bind_address_calls(nb::module_& m, nb::class_<Core>& core) {
    nb::class_<Models>(m, "Models", "Calls of several models of one size, side by side in memory.")
        .def(
            "__init__",
            [](Models* self, ptrdiff_t count, std::vector<ptrdiff_t> tensors, std::vector<ptrdiff_t> parameters,
               std::vector<ptrdiff_t> d_parameters) {
                new (self) Models{
                    .count = count,
                    .tensors = std::move(tensors),
                    .parameters = std::move(parameters),
                    .d_parameters = std::move(d_parameters),
                };
            },
            nb::arg("count"), nb::arg("tensors"), nb::arg("parameters"), nb::arg("d_parameters"),
            "Bytes from one model to the next, in the order of the arguments and for each parameter.");
    core.def(
            "saved_values",
            [](const Core& core, ptrdiff_t slots, ptrdiff_t total, bool recomputes) {
                return with_type(core.type, [&]<class T>(Tag<T>) {
                    return saved_values<T>(core.spec, slots, total, recomputes);
                });
            },
            nb::arg("slots"), nb::arg("total"), nb::arg("recomputes"),
            "How many values a training forward leaves for the backward pass: of `total` vectors that are "
            "computed, in "
            "`slots` of memory.")
        .def(
            "forward",
            [](const Core& core, const Bounds& bounds, const Place& input, Address h_0, const Reset& reset,
               nb::handle parameters, const Place& output, Address h_n, const Saved& saved, bool recomputes,
               int threads, const Models& models) {
                const ForwardArguments arguments{
                    .bounds = bounds,
                    .input = input,
                    .h_0 = h_0,
                    .reset = reset,
                    .parameters = parameters,
                    .output = output,
                    .h_n = h_n,
                    .saved = saved,
                    .recomputes = recomputes,
                    .threads = threads,
                    .models = models,
                };
                with_type(core.type, [&]<class T>(Tag<T>) { forward<T>(core, arguments); });
            },
            nb::arg("bounds"), nb::arg("input"), nb::arg("h_0"), nb::arg("reset"), nb::arg("parameters"),
            nb::arg("output"), nb::arg("h_n"), nb::arg("saved"), nb::arg("recomputes"), nb::arg("threads"),
            nb::arg("models"), "Writes output and h_n, and what backward needs where `saved` is given.")
        .def(
            "backward",
            [](const Core& core, const Bounds& bounds, const Place& input, Address h_0, const Reset& reset,
               nb::handle parameters, const Place& output, const Saved& saved, bool recomputes,
               const Place& d_output, Address d_h_n, const Place& d_input, Address d_h_0, Address d_reset,
               nb::handle d_parameters, int threads, const Models& models) {
                const BackwardArguments arguments{
                    .bounds = bounds,
                    .input = input,
                    .h_0 = h_0,
                    .reset = reset,
                    .parameters = parameters,
                    .output = output,
                    .saved = saved,
                    .recomputes = recomputes,
                    .d_output = d_output,
                    .d_h_n = d_h_n,
                    .d_input = d_input,
                    .d_h_0 = d_h_0,
                    .d_reset = d_reset,
                    .d_parameters = d_parameters,
                    .threads = threads,
                    .models = models,
                };
                with_type(core.type, [&]<class T>(Tag<T>) { backward<T>(core, arguments); });
            },
            nb::arg("bounds"), nb::arg("input"), nb::arg("h_0"), nb::arg("reset"), nb::arg("parameters"),
            nb::arg("output"), nb::arg("saved"), nb::arg("recomputes"), nb::arg("d_output"), nb::arg("d_h_n"),
            nb::arg("d_input"), nb::arg("d_h_0"), nb::arg("d_reset"), nb::arg("d_parameters"), nb::arg("threads"),
            nb::arg("models"), "Writes the gradients whose address is not 0.");
}

}  // namespace fastgru::python
