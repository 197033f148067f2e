// Calls with parameters that were packed before: of frozen layers, and of streams that go step by step.
#include <utility>
#include <vector>

#include "tensor_arguments.h"

namespace fastgru::python {

namespace {

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

void bind_packed_calls(nb::module_& m) {
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
