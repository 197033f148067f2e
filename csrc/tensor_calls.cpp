// Calls of the core from torch tensors to torch tensors, for tensors as plain as nearly all are: dense, on the CPU,
// of the right type and size. Each answers None where one is not; the caller has another, slower way, which also
// finds the words for what is wrong.
#include <utility>
#include <vector>

#include "bindings.h"
#include "tensors.h"

namespace fastgru::python {

namespace {

tensors::Tensors torch_tensors;

// Parameters as they are, when all are plain, dense and of the sizes that the core was made for.
template <class T>
bool read_parameters(const Core& core, nb::handle parameters, Cell<T>* cells) {
    if (!PyTuple_CheckExact(parameters.ptr())) return false;
    const int64_t H = core.spec.hidden_size;
    const ptrdiff_t per_cell = core.tensors_per_cell();
    if (PyTuple_GET_SIZE(parameters.ptr()) != core.spec.cells() * per_cell) return false;
    for (ptrdiff_t i = 0; i < core.spec.cells() * per_cell; ++i) {
        tensors::DLTensor tensor;
        if (!torch_tensors.describe<T>(PyTuple_GET_ITEM(parameters.ptr(), i), tensor)) return false;
        const ptrdiff_t cell = i / per_cell, kind = i % per_cell;
        const int64_t columns = kind == 0 ? core.spec.width(cell / core.spec.num_directions) : H;
        if (kind < 2 ? !tensors::is_dense(tensor, {3 * H, columns}) : !tensors::is_dense(tensor, {3 * H}))
            return false;
        const T* data = static_cast<const T*>(tensor.data);
        if (kind == 0) cells[cell] = {data, nullptr, nullptr, nullptr};
        if (kind == 1) cells[cell].weight_hh = data;
        if (kind == 2) cells[cell].bias_ih = data;
        if (kind == 3) cells[cell].bias_hh = data;
    }
    return true;
}

// (T, B, features), or (B, T, features), with the values of a vector side by side.
template <class T>
bool read_sequence(nb::handle object, int64_t features, bool batch_first, Sequence<const T>& sequence,
                   Batch& batch) {
    tensors::DLTensor tensor;
    if (!torch_tensors.describe<T>(object, tensor) || tensor.ndim != 3) return false;
    const int time = batch_first ? 1 : 0, row = 1 - time;
    if (tensor.shape[0] == 0 || tensor.shape[1] == 0 || tensor.shape[2] != features) return false;
    if (tensor.strides[2] != 1 && features != 1) return false;
    sequence = {static_cast<const T*>(tensor.data), tensor.strides[row], tensor.strides[time], false};
    batch = {tensor.shape[time], tensor.shape[row], nullptr};
    return true;
}

// Where the vectors of a dense (T, B, features) lie, or of (B, T, features).
template <class T>
Sequence<T> dense_sequence(T* data, const Batch& batch, int64_t features, bool batch_first) {
    return {data, batch_first ? batch.steps * features : features, batch_first ? features : batch.rows * features,
            false};
}

// A dense tensor of this shape, or None, which leaves `data` null.
template <class T, size_t N>
bool read_optional(nb::handle object, const int64_t (&shape)[N], const T*& data) {
    data = nullptr;
    if (object.is_none()) return true;
    tensors::DLTensor tensor;
    if (!torch_tensors.describe<T>(object, tensor) || !tensors::is_dense(tensor, shape)) return false;
    data = static_cast<const T*>(tensor.data);
    return true;
}

template <class T, size_t N>
nb::object make(int64_t (&shape)[N], T*& data) {
    void* at;
    nb::object tensor = torch_tensors.make(tensors::kType<T>, N, shape, at);
    data = static_cast<T*>(at);
    return tensor;
}

// How the sequences of a call end and where they start anew; each part may be None.
struct Bounds {
    nb::handle lengths, reset, reset_state;
};

// False where lengths are no dense int64 of this batch, or out of range.
bool read_lengths(nb::handle object, Batch& batch) {
    if (object.is_none()) return true;
    tensors::DLTensor tensor;
    if (!torch_tensors.describe<int64_t>(object, tensor) || !tensors::is_dense(tensor, {batch.rows})) return false;
    const int64_t* lengths = static_cast<const int64_t*>(tensor.data);
    int64_t least = batch.steps;
    for (ptrdiff_t b = 0; b < batch.rows; ++b) {
        if (lengths[b] < 0 || lengths[b] > batch.steps) return false;
        least = lengths[b] < least ? lengths[b] : least;
    }
    batch.lengths = least < batch.steps ? lengths : nullptr;  // a full batch needs no order
    return true;
}

template <class T>
bool read_bounds(const Bounds& bounds, const Spec& spec, bool batch_first, Batch& batch, Resets<T>& resets) {
    resets = {};
    if (!read_lengths(bounds.lengths, batch)) return false;
    if (bounds.reset.is_none()) return true;
    tensors::DLTensor marks;
    const int time = batch_first ? 1 : 0, row = 1 - time;
    if (!torch_tensors.describe<bool>(bounds.reset, marks) || marks.ndim != 2 || marks.shape[time] != batch.steps ||
        marks.shape[row] != batch.rows)
        return false;
    resets = {static_cast<const unsigned char*>(marks.data), marks.strides[time], marks.strides[row], nullptr, 0};
    const int64_t H = spec.hidden_size;
    if (read_optional(bounds.reset_state, {spec.cells(), H}, resets.state)) return true;
    resets.state_stride = H;
    return read_optional(bounds.reset_state, {spec.cells(), batch.rows, H}, resets.state);
}

// Fills in what comes from input, h_0 and bounds, makes the results' tensors, and hands the call to `run`.
template <class T, class Run>
nb::object forward_with(Forward<T>& call, nb::handle input, nb::handle h_0, const Bounds& bounds, bool batch_first,
                        const Run& run) {
    const Spec& spec = call.spec;
    if (!read_sequence(input, spec.input_size, batch_first, call.input, call.batch)) return nb::none();
    const int64_t steps = call.batch.steps, rows = call.batch.rows, H = spec.hidden_size;
    const int64_t features = spec.num_directions * H;
    if (!read_optional(h_0, {spec.cells(), rows, H}, call.h_0) ||
        !read_bounds(bounds, spec, batch_first, call.batch, call.resets))
        return nb::none();
    int64_t output_shape[] = {batch_first ? rows : steps, batch_first ? steps : rows, features};
    int64_t state_shape[] = {spec.cells(), rows, H};
    T* data;
    const nb::object output = make(output_shape, data), h_n = make(state_shape, call.h_n);
    call.output = dense_sequence(data, call.batch, features, batch_first);
    run();
    return nb::steal(PyTuple_Pack(2, output.ptr(), h_n.ptr()));
}

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

// Parameters packed once for many calls, for as long as they are what they were: the same objects, and not written
// to. A write is seen by torch's version counters, which `watches`, plain aliases of the parameters, share with
// them.
class Packed {
  public:
    Packed(const Core& core, nb::tuple parameters, nb::tuple watches)
        : core_(core),
          table_(&active_table()),
          memory_(with_type(core.type, [&]<class T>(Tag<T>) { return packed_bytes<T>(*table_, core.spec); })),
          parameters_(std::move(parameters)),
          watches_(std::move(watches)),
          versions_(read_versions()) {
        if (memory_.data() == nullptr) throw std::bad_alloc();
        with_type(core.type, [&]<class T>(Tag<T>) { fill<T>(); });
    }

    // False when a parameter was written to since.
    bool is_current() const {
        for (size_t i = 0; i < versions_.size(); ++i)
            if (version(watches_[i]) != versions_[i]) return false;
        return true;
    }

    // Whether the values of this dict are the parameters, the very objects, and the level is still the one that
    // runs.
    bool holds(nb::handle parameters) const {
        if (table_ != &active_table() || PyDict_GET_SIZE(parameters.ptr()) < PyTuple_GET_SIZE(parameters_.ptr()))
            return false;  // more there may be: a learned h_0 stands behind the weights
        PyObject *key, *value;
        Py_ssize_t at = 0;
        const Py_ssize_t count = PyTuple_GET_SIZE(parameters_.ptr());
        for (Py_ssize_t i = 0; i < count && PyDict_Next(parameters.ptr(), &at, &key, &value); ++i)
            if (value != PyTuple_GET_ITEM(parameters_.ptr(), i)) return false;
        return true;
    }

    const Core& core() const { return core_; }
    const KernelTable& table() const { return *table_; }
    const void* values() const { return memory_.data(); }

  private:
    template <class T>
    void fill() {
        Cell<T> cells[kMostCells];
        if (!read_parameters(core_, watches_, cells))
            throw nb::value_error("parameters are packed from dense tensors on the CPU, of the sizes of the layer");
        const nb::gil_scoped_release released;
        pack(*table_, core_.spec, cells, memory_.data());
    }

    static long version(nb::handle tensor) {
        static PyObject* const name = PyUnicode_InternFromString("_version");
        const nb::object value = nb::steal(PyObject_GetAttr(tensor.ptr(), name));
        if (!value.is_valid()) throw nb::python_error();
        return PyLong_AsLong(value.ptr());
    }

    std::vector<long> read_versions() const {
        std::vector<long> versions;
        for (nb::handle watch : watches_) versions.push_back(version(watch));
        return versions;
    }

    Core core_;
    const KernelTable* table_;
    Block memory_;
    nb::tuple parameters_, watches_;
    std::vector<long> versions_;
};

// As forward_tensors; False when a parameter was written to after packing.
template <class T>
nb::object forward_packed(const Packed& packed, nb::handle input, nb::handle h_0, nb::handle parameters,
                          const Bounds& bounds, bool batch_first, int threads) {
    if (!packed.holds(parameters)) return nb::none();
    if (!packed.is_current()) return nb::borrow(Py_False);
    Forward<T> call{};
    call.spec = packed.core().spec;
    call.packed = packed.values();
    call.threads = threads;
    return forward_with(call, input, h_0, bounds, batch_first, [&] { run_in_workspace(call); });
}

// One step after another with everything at hand: packed parameters, scratch memory, a state that is advanced in
// place.
class Stepper {
  public:
    Stepper(nb::object packed, nb::object state, nb::object output, int threads)
        : packed_(std::move(packed)),
          core_(nb::cast<const Packed&>(packed_).core()),
          table_(&nb::cast<const Packed&>(packed_).table()),
          state_(std::move(state)),
          output_(std::move(output)),
          threads_(threads),
          workspace_(prepare_any(threads)) {
        if (workspace_.data() == nullptr) throw std::bad_alloc();
    }

    nb::object step(nb::handle input) {
        return core_.type == Type::float64 ? step_with(double_, input) : step_with(float_, input);
    }

  private:
    size_t prepare_any(int threads) {
        // A state of 16 bits would be rounded at every step, unlike that of a whole sequence.
        if (core_.type != Type::float64 && core_.type != Type::float32)
            throw nb::value_error("a stepper computes in float32 or float64");
        return core_.type == Type::float64 ? prepare(double_, threads) : prepare(float_, threads);
    }

    template <class T>
    size_t prepare(Forward<T>& call, int threads) {
        tensors::DLTensor state, output;
        if (!torch_tensors.describe<T>(state_, state) || !torch_tensors.describe<T>(output_, output))
            throw nb::value_error("a stepper's state and output are plain tensors on the CPU");
        call.spec = core_.spec;
        call.batch = {1, state.shape[1], nullptr};
        call.h_0 = static_cast<const T*>(state.data);
        call.h_n = static_cast<T*>(state.data);
        call.output = {static_cast<T*>(output.data), core_.spec.hidden_size, 0, false};
        call.packed = nb::cast<const Packed&>(packed_).values();
        // Enough for any team that a step may get.
        size_t most = 0;
        for (const int count : {1, threads}) {
            for (const bool is_awake : {false, true}) {
                call.threads = count;
                call.is_awake = is_awake;
                const size_t bytes = workspace_bytes(*table_, call);
                most = bytes > most ? bytes : most;
            }
        }
        return most;
    }

    template <class T>
    nb::object step_with(Forward<T>& call, nb::handle input) {
        tensors::DLTensor x;
        if (!torch_tensors.describe<T>(input, x) || !tensors::is_dense(x, {call.batch.rows, call.spec.input_size}))
            return nb::none();
        call.input = {static_cast<const T*>(x.data), call.spec.input_size, 0, false};
        {
            const nb::gil_scoped_release released;
            const Team team(threads_, product_microseconds(call.spec, call.batch, sizeof(T)));
            call.threads = team.threads();
            call.is_awake = team.is_awake();
            run(*table_, call, workspace_.data());
        }
        return output_;
    }

    nb::object packed_;  // kept alive
    Core core_;
    const KernelTable* table_;
    nb::object state_, output_;
    int threads_;
    Forward<float> float_{};
    Forward<double> double_{};
    Block workspace_;
};

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

    nb::class_<Packed>(m, "Packed", "Parameters packed once for many calls.")
        .def(nb::init<const Core&, nb::tuple, nb::tuple>(), nb::arg("core"), nb::arg("parameters"),
             nb::arg("watches"))
        .def("is_current", &Packed::is_current, "False when a parameter was written to since.")
        .def(
            "forward_tensors",
            [](const Packed& self, nb::handle input, nb::handle h_0, nb::handle parameters, nb::handle lengths,
               nb::handle reset, nb::handle reset_state, bool batch_first, int threads) {
                return with_type(self.core().type, [&]<class T>(Tag<T>) {
                    return forward_packed<T>(self, input, h_0, parameters, {lengths, reset, reset_state},
                                             batch_first, threads);
                });
            },
            nb::arg("input"), nb::arg("h_0").none(), nb::arg("parameters"), nb::arg("lengths").none(),
            nb::arg("reset").none(), nb::arg("reset_state").none(), nb::arg("batch_first"), nb::arg("threads"),
            "Output and h_n; None where a tensor is not plain or these are other parameters; False when one of "
            "them was written to since.");

    nb::class_<Stepper>(m, "Stepper", "One step after another, with nothing left to prepare.")
        .def(nb::init<nb::object, nb::object, nb::object, int>(), nb::arg("packed"), nb::arg("state"),
             nb::arg("output"), nb::arg("threads"))
        .def(
            "step", &Stepper::step, nb::arg("input"),
            "Advances the state in place; the output, or None where the input is not plain, dense and of the right "
            "size.");
}

}  // namespace fastgru::python
