// Streams that go step by step, with parameters that were packed before.
#include <string.h>

#include <optional>
#include <type_traits>
#include <variant>
#include <vector>

#include "host/run_calls.h"
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

// The input of a step, or a copy of it where the step would write over it: threads read it while others write.
template <class T>
class StepInput {
  public:
    explicit StepInput(ptrdiff_t values) : copy_(size_t(values)) {}

    template <class S>
    const T* at(const T* x, const Forward<T, S>& call) {
        const ptrdiff_t states = call.batch.rows * call.spec.hidden_size;
        const auto overlaps = [&](const T* written, ptrdiff_t count) {
            return x < written + count && written < x + copy_.size();
        };
        if (!overlaps(call.output.data, states) && !overlaps(call.h_n, call.spec.num_layers * states)) return x;
        memcpy(copy_.data(), x, copy_.size() * sizeof(T));
        return copy_.data();
    }

  private:
    std::vector<T> copy_;
};

// One step after another with everything at hand: packed parameters, scratch memory, a state that is advanced in
// place.
template <class T, class S = T>
class Stepping {
  public:
    Stepping(const Packed& packed, nb::object state, nb::object output, int threads)
        : packed_(packed),
          rows_(nb::cast<ptrdiff_t>(output.attr("shape")[0])),
          state_(std::move(state), Tag<T>()),
          output_(std::move(output), Tag<T>()),
          threads_(threads),
          input_(rows_ * spec().input_size),
          workspace_(borrow(most_workspace_bytes(packed.table(), call()))) {}

    nb::object step(nb::handle input);

  private:
    const Spec& spec() const { return packed_.sizes().spec; }
    Forward<T, S> call() const;

    const Packed& packed_;
    ptrdiff_t rows_;
    Shown state_, output_;
    int threads_;
    StepInput<T> input_;
    Block workspace_;
};

// All that is the same at every step.
template <class T, class S>
Forward<T, S> Stepping<T, S>::call() const {
    Forward<T, S> call{};
    call.spec = spec();
    call.batch = {.steps = 1, .rows = rows_};
    call.output = {.data = nullptr, .row_stride = spec().hidden_size, .step_stride = 0, .is_flat = false};
    call.packed = packed_.values();
    call.threads = threads_;
    return call;
}

template <class T, class S>
nb::object Stepping<T, S>::step(nb::handle input) {
    Arrays arrays(Source::tensors);
    Forward<T, S> call = this->call();
    const T* x;
    if (!arrays.read_dense(input, {rows_, spec().input_size}, x)) return nb::none();
    call.h_n = state_.template data<T>({spec().num_layers, rows_, spec().hidden_size}, arrays);
    call.output.data = output_.template data<T>({rows_, spec().hidden_size}, arrays);
    if (call.h_n == nullptr || call.output.data == nullptr) return nb::none();
    call.h_0 = call.h_n;
    call.input = {
        .data = input_.at(x, call),
        .row_stride = spec().input_size,
        .step_stride = 0,
        .is_flat = false,
    };
    std::optional<ReleasedGil> released;
    if (!keeps_gil(call)) released.emplace();
    run_call(packed_.table(), call, workspace_.data());
    released.reset();
    return output_.tensor();
}

// Of any type that it can have.
class Stepper {
  public:
    Stepper(nb::object packed, nb::object state, nb::object output, int threads) : packed_(std::move(packed)) {
        const Packed& values = nb::cast<const Packed&>(packed_);
        const Type type = values.sizes().type;
        // A state of 16 bits would be rounded at every step, unlike that of a whole sequence.
        if (type != Type::float64 && type != Type::float32)
            throw nb::value_error("a stepper computes in float32 or float64");
        with_types(type, values.stored(), [&]<class T, class S>(Tag<T>, Tag<S>) {
            if constexpr (!Half<T>)
                stepping_.emplace<Stepping<T, S>>(values, std::move(state), std::move(output), threads);
        });
    }

    nb::object step(nb::handle input) {
        return std::visit(
            [&]<class One>(One& one) -> nb::object {
                if constexpr (std::is_same_v<One, std::monostate>)
                    return nb::none();
                else
                    return one.step(input);
            },
            stepping_);
    }

  private:
    nb::object packed_;  // kept alive
    std::variant<std::monostate, Stepping<float>, Stepping<double>, Stepping<float, BFloat16>,
                 Stepping<float, Float16>, Stepping<float, Int8>>
        stepping_;
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
