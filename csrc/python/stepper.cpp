// Streams that go step by step, with parameters that were packed before.
#include <optional>

#include "python/packed_parameters.h"

namespace fastgru::python {

namespace {

// A tensor that the user sees, and that the core writes to at every step. Its first memory is held and cannot be
// resized; the user may put another in its place (shared memory, say), which is looked at anew each time.
class Shown {
  public:
    template <class T>
    Shown(nb::object tensor, Tag<T>) : tensor_(std::move(tensor)) {
        ArrayView seen;
        if (!torch_tensors.read(tensor_, kElementType<T>, seen, memory_))
            throw nb::value_error("a stepper's state and output are plain tensors on the CPU");
        first_ = seen.data;
    }

    // Where its values are now; null when it is no dense tensor of this shape any more.
    template <class T>
    T* data(const Shape& shape, Arrays& arrays) const {
        ArrayView seen;
        if (!torch_tensors.describe(tensor_, kElementType<T>, seen)) return nullptr;
        if (seen.data != first_ && !arrays.read<T>(tensor_, seen)) return nullptr;
        return seen.has_shape(shape) && seen.is_dense() ? static_cast<T*>(seen.data) : nullptr;
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
        : spec_(packed.sizes().spec),
          table_(&packed.table()),
          rows_(nb::cast<ptrdiff_t>(output.attr("shape")[0])),
          state_(std::move(state), Tag<T>()),
          output_(std::move(output), Tag<T>()),
          threads_(threads),
          input_(size_t(rows_ * spec_.input_size)),
          workspace_(borrow(most_workspace_bytes(*table_, call_with(packed)))) {}

    nb::object step(const Packed& packed, nb::handle input) {
        Arrays arrays(Source::tensors);
        Forward<T> call = call_with(packed);
        const T* x;
        if (!arrays.read_dense(input, {rows_, spec_.input_size}, x)) return nb::none();
        call.h_n = state_.template data<T>({spec_.num_layers, rows_, spec_.hidden_size}, arrays);
        call.output.data = output_.template data<T>({rows_, spec_.hidden_size}, arrays);
        if (call.h_n == nullptr || call.output.data == nullptr) return nb::none();
        call.h_0 = call.h_n;
        call.input = {
            .data = input_at(x, call),
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
        const Type type = values_.sizes().type;
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

void bind_stepper(nb::module_& m) {
    nb::class_<Stepper>(m, "Stepper", "One step after another, with nothing left to prepare.")
        .def(nb::init<nb::object, nb::object, nb::object, int>(), nb::arg("packed"), nb::arg("state"),
             nb::arg("output"), nb::arg("threads"))
        .def("step", &Stepper::step, nb::arg("input").none(),
             "Advances the state in place; the output, or None where the input, the state or the output is not "
             "plain, dense and of the right size.");
}

}  // namespace fastgru::python
