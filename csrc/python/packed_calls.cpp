// Calls with parameters that were packed before: of frozen layers, and of streams that go step by step.
#include <string.h>

#include <optional>
#include <utility>
#include <vector>

#include "python/read_tensors.h"

namespace fastgru::python {

namespace {

// Whether a tensor is what it was. A write is seen by torch's version counter, which an alias of a parameter shares
// with it. A tensor that was made in inference mode has none, so its values are kept and compared.
class Watch {
  public:
    Watch(nb::handle tensor, Type type) : tensor_(nb::borrow(tensor)), type_(type), version_(version()) {
        if (version_ < 0 && read_values(values_) == nullptr)
            throw nb::value_error("a parameter made in inference mode is packed from dense memory");
    }

    bool is_current() const {
        if (version_ >= 0) return version() == version_;
        size_t bytes;
        const void* now = values(bytes);
        return now != nullptr && bytes == values_.size() && memcmp(now, values_.data(), bytes) == 0;
    }

  private:
    // Below 0: it has none.
    long version() const {
        static PyObject* const name = PyUnicode_InternFromString("_version");
        const nb::object value = nb::steal(PyObject_GetAttr(tensor_.ptr(), name));
        if (value.is_valid()) return PyLong_AsLong(value.ptr());
        if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) throw nb::python_error();
        PyErr_Clear();
        return -1;
    }

    // Null when the tensor is not dense.
    const void* values(size_t& bytes) const {
        return with_type(type_, [&]<class T>(Tag<T>) -> const void* {
            tensors::DLTensor tensor;
            nb::object storage;
            if (!torch_tensors.describe<T>(tensor_, tensor, storage)) return nullptr;
            const bool is_dense = tensor.ndim == 1 ? tensors::is_dense(tensor, {tensor.shape[0]})
                                                   : tensors::is_dense(tensor, {tensor.shape[0], tensor.shape[1]});
            bytes = size_t(tensor.shape[0]) * size_t(tensor.ndim == 1 ? 1 : tensor.shape[1]) * sizeof(T);
            return is_dense ? tensor.data : nullptr;
        });
    }

    const void* read_values(std::vector<char>& copy) const {
        size_t bytes;
        const void* now = values(bytes);
        if (now != nullptr) copy.assign(static_cast<const char*>(now), static_cast<const char*>(now) + bytes);
        return now;
    }

    nb::object tensor_;
    Type type_;
    long version_;
    std::vector<char> values_;
};

// Parameters packed once for many calls, for as long as they are what they were: the same objects, and not written
// to.
class Packed {
  public:
    // `watches` are plain aliases of the parameters, `dense` the same values in dense memory.
    Packed(const Core& core, nb::tuple parameters, nb::tuple watches, nb::tuple dense)
        : core_(core),
          table_(&active_table()),
          memory_(
              borrow(with_type(core.type, [&]<class T>(Tag<T>) { return packed_bytes<T>(*table_, core.spec); }))),
          parameters_(std::move(parameters)) {
        for (nb::handle watch : watches) watches_.emplace_back(watch, core.type);
        with_type(core.type, [&]<class T>(Tag<T>) { fill<T>(dense); });
    }

    // False when a parameter was written to since.
    bool is_current() const {
        for (const Watch& watch : watches_)
            if (!watch.is_current()) return false;
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
    void fill(nb::tuple dense) {
        Arguments arguments;
        Cell<T> cells[kMostCells];
        if (!read_parameters(arguments, core_, dense, cells))
            throw nb::value_error("parameters are packed from dense tensors on the CPU, of the sizes of the layer");
        const nb::gil_scoped_release released;
        pack(*table_, core_.spec, cells, memory_.data());
    }

    Core core_;
    const KernelTable* table_;
    Block memory_;
    nb::tuple parameters_;
    std::vector<Watch> watches_;
};

// As forward_tensors; False when a parameter was written to after packing.
template <class T>
nb::object forward_packed(const Packed& packed, nb::handle input, nb::handle h_0, nb::handle parameters,
                          const SequenceArguments& sequences, bool batch_first, int threads) {
    if (!packed.holds(parameters)) return nb::none();
    if (!packed.is_current()) return nb::borrow(Py_False);
    Forward<T> call{};
    call.spec = packed.core().spec;
    call.packed = packed.values();
    call.threads = threads;
    Arguments arguments;
    if (!read_input(arguments, input, batch_first, call)) return nb::none();
    return forward_with(call, arguments, h_0, sequences, batch_first, nb::none());
}

// A tensor that the user sees, and that the core writes to at every step. Its first memory is held and cannot be
// resized; the user may put another in its place (shared memory, say), which is looked at anew each time.
class Shown {
  public:
    template <class T>
    Shown(nb::object tensor, Tag<T>) : tensor_(std::move(tensor)) {
        tensors::DLTensor seen;
        if (!torch_tensors.describe<T>(tensor_, seen, memory_))
            throw nb::value_error("a stepper's state and output are plain tensors on the CPU");
        first_ = seen.data;
    }

    // Where its values are now; null when it is no dense tensor of this shape any more.
    template <class T, size_t N>
    T* data(const int64_t (&shape)[N], Arguments& arguments) const {
        tensors::DLTensor seen;
        if (!torch_tensors.describe<T>(tensor_, seen)) return nullptr;
        if (seen.data != first_ && !arguments.read<T>(tensor_, seen)) return nullptr;
        return tensors::is_dense(seen, shape) ? static_cast<T*>(seen.data) : nullptr;
    }

    const nb::object& tensor() const { return tensor_; }

  private:
    nb::object tensor_, memory_;
    const void* first_;
};

// One step after another with everything at hand: packed parameters, scratch memory, a state that is advanced in
// place.
template <class T>
class Stepping {
  public:
    Stepping(const Packed& packed, nb::object state, nb::object output, int threads)
        : spec_(packed.core().spec),
          table_(&packed.table()),
          rows_(nb::cast<ptrdiff_t>(output.attr("shape")[0])),
          state_(std::move(state), Tag<T>()),
          output_(std::move(output), Tag<T>()),
          threads_(threads),
          input_(size_t(rows_ * spec_.input_size)),
          workspace_(borrow(most_workspace_bytes(*table_, call_with(packed)))) {}

    nb::object step(const Packed& packed, nb::handle input) {
        Arguments arguments;
        Forward<T> call = call_with(packed);
        tensors::DLTensor x;
        if (!arguments.read<T>(input, x) || !tensors::is_dense(x, {rows_, spec_.input_size})) return nb::none();
        call.h_n = state_.template data<T>({spec_.num_layers, rows_, spec_.hidden_size}, arguments);
        call.output.data = output_.template data<T>({rows_, spec_.hidden_size}, arguments);
        if (call.h_n == nullptr || call.output.data == nullptr) return nb::none();
        call.h_0 = call.h_n;
        call.input = {
            .data = input_at(static_cast<const T*>(x.data), call),
            .row_stride = spec_.input_size,
            .step_stride = 0,
            .is_flat = false,
        };
        run_step(call);
        return output_.tensor();
    }

  private:
    Forward<T> call_with(const Packed& packed) const {
        Forward<T> call{};
        call.spec = spec_;
        call.batch = {.steps = 1, .rows = rows_};
        call.output = {.data = nullptr, .row_stride = spec_.hidden_size, .step_stride = 0, .is_flat = false};
        call.packed = packed.values();
        call.threads = threads_;
        return call;
    }

    // The input, or a copy of it where the step would write over it: threads read it while others write.
    const T* input_at(const T* x, const Forward<T>& call) {
        const ptrdiff_t values = rows_ * spec_.input_size, states = rows_ * spec_.hidden_size;
        const auto overlaps = [&](const T* written, ptrdiff_t count) {
            return x < written + count && written < x + values;
        };
        if (!overlaps(call.output.data, states) && !overlaps(call.h_n, spec_.num_layers * states)) return x;
        memcpy(input_.data(), x, size_t(values) * sizeof(T));
        return input_.data();
    }

    void run_step(const Forward<T>& call) {
        std::optional<nb::gil_scoped_release> released;
        if (!keeps_gil(call)) released.emplace();
        run_call(*table_, call, workspace_.data());
    }

    Spec spec_;
    const KernelTable* table_;
    ptrdiff_t rows_;
    Shown state_, output_;
    int threads_;
    std::vector<T> input_;
    Block workspace_;
};

// Of either type.
class Stepper {
  public:
    Stepper(nb::object packed, nb::object state, nb::object output, int threads)
        : packed_(std::move(packed)), values_(nb::cast<const Packed&>(packed_)) {
        const Type type = values_.core().type;
        // A state of 16 bits would be rounded at every step, unlike that of a whole sequence.
        if (type != Type::float64 && type != Type::float32)
            throw nb::value_error("a stepper computes in float32 or float64");
        if (type == Type::float64)
            double_.emplace(values_, std::move(state), std::move(output), threads);
        else
            float_.emplace(values_, std::move(state), std::move(output), threads);
    }

    nb::object step(nb::handle input) {
        return float_ ? float_->step(values_, input) : double_->step(values_, input);
    }

  private:
    nb::object packed_;  // kept alive
    const Packed& values_;
    std::optional<Stepping<float>> float_;
    std::optional<Stepping<double>> double_;
};

}  // namespace

void bind_packed_calls(nb::module_& m) {
    nb::class_<Packed>(m, "Packed", "Parameters packed once for many calls.")
        .def(nb::init<const Core&, nb::tuple, nb::tuple, nb::tuple>(), nb::arg("core"), nb::arg("parameters"),
             nb::arg("watches"), nb::arg("dense"))
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
        .def("step", &Stepper::step, nb::arg("input").none(),
             "Advances the state in place; the output, or None where the input, the state or the output is not "
             "plain, "
             "dense and of the right size.");
}

}  // namespace fastgru::python
