// Whole models as Python builds and calls them. What fastgru.runtime has checked is looked at again where memory
// depends on it.
#include "host/program.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <utility>

#include "python/bindings.h"
#include "python/read_arguments.h"
#include "python/row_arrays.h"

namespace fastgru::python {

namespace {

[[noreturn]] void refuse(const char* why) { throw nb::value_error(why); }

template <class T>
std::vector<T> copied(nb::handle object, const Shape& shape) {
    if (object.is_none()) return {};
    Arrays arrays(Source::buffers);
    const T* data;
    if (!arrays.read_dense(object, shape, data)) refuse("a parameter is not a dense array of the right size");
    ptrdiff_t count = 1;
    for (int i = 0; i < shape.dims; ++i) count *= shape.sizes[i];
    return {data, data + count};
}

StoredAs stored_as(Type type, Type stored) {
    if (stored == Type::bfloat16) return StoredAs::bfloat16;
    if (stored == Type::float16) return StoredAs::float16;
    if (stored == Type::int8) return StoredAs::int8;
    if (stored != type) refuse("weights are stored in the type of the model, or of a float32 model in fewer bytes");
    return StoredAs::as_they_are;
}

template <class T>
class PythonProgram {
  public:
    // Of values (is_per_step, width).
    explicit PythonProgram(const std::vector<std::pair<bool, ptrdiff_t>>& values) {
        program_.table = &active_table();
        for (const auto& [is_per_step, width] : values) {
            if (width < 0) refuse("a vector has no values");
            program_.values.push_back({is_per_step, width});
        }
    }

    PythonProgram(const PythonProgram&) = delete;
    PythonProgram& operator=(const PythonProgram&) = delete;

    void add_linear(int x, int y, nb::handle weight, nb::handle bias, const std::string& function, double a,
                    double b) {
        const ptrdiff_t K = width(x), N = width(y);
        const std::vector<T> values = copied<T>(weight, {N, K});
        Block packed = borrow(packed_linear_bytes<T>(*program_.table, K, N));
        pack_linear<T>(*program_.table, K, N, values.data(), packed.data());
        add(LinearNode<T>{x, y, K, N, std::move(packed), copied<T>(bias, {N}), activation_named(function, a, b)});
    }
    void add_embedding(int x, int y, ptrdiff_t rows, nb::handle table) {
        if (width(x) != 0) refuse("an embedding reads indices");
        add(EmbeddingNode<T>{x, y, copied<T>(table, {rows, width(y)})});
    }
    void add_activation(int x, int y, const std::string& function, double a, double b) {
        same_width(x, y);
        add(ActivateNode{x, y, activation_named(function, a, b)});
    }
    void add_combine(const std::string& operation, int x, int other, int y, nb::handle constant, bool swaps) {
        std::vector<T> values;
        if (other >= 0) {
            for (const int value : {x, other})
                if (width(value) != 1) same_width(value, y);
            if (width(x) != width(y) && width(other) != width(y)) refuse("values have different sizes");
        } else {
            same_width(x, y);
            Arrays arrays(Source::buffers);
            ArrayView view;
            if (!arrays.read<T>(constant, view) || view.dims != 1) refuse("a constant is a vector");
            if (view.shape[0] != 1 && view.shape[0] != width(y)) refuse("a constant has another size");
            values = copied<T>(constant, {view.shape[0]});
        }
        add(CombineNode<T>{operation_named(operation), x, other, y, std::move(values), swaps});
    }
    void add_softmax(int x, int y, bool is_log) {
        same_width(x, y);
        add(SoftmaxNode{x, y, is_log});
    }
    void add_layer_norm(int x, int y, nb::handle weight, nb::handle bias, double eps) {
        same_width(x, y);
        add(LayerNormNode<T>{x, y, copied<T>(weight, {width(y)}), copied<T>(bias, {width(y)}), eps});
    }
    void add_copy(int x, int y, ptrdiff_t x_first, ptrdiff_t y_first, ptrdiff_t count) {
        if (x_first < 0 || y_first < 0 || count < 0 || x_first + count > width(x) || y_first + count > width(y))
            refuse("a copy reads or writes past the end of a vector");
        if (type(x).is_per_step && !type(y).is_per_step) refuse("a copy drops steps");
        add(CopyNode{x, y, x_first, y_first, count}, false);
    }
    void add_last(int x, int y) {
        if (width(x) != width(y) || !type(x).is_per_step || type(y).is_per_step) refuse("the last step of steps");
        add(LastNode{x, y}, false);
    }
    void add_gru(int x, int y, int state, const std::vector<int>& last, const std::vector<int>& begins,
                 const LayerSizes& sizes, nb::handle parameters, nb::handle anew, const std::string& stored);
    void finish(const std::vector<int>& inputs, const std::vector<int>& outputs) {
        for (const int value : inputs) (void)type(value);
        for (const int value : outputs)
            if (width(value) == 0) refuse("an output has vectors");
        program_.inputs = inputs;
        program_.outputs = outputs;
        arrange(program_);
        is_finished_ = true;
    }
    void run(nb::tuple inputs, nb::tuple states, nb::tuple begun, nb::tuple next_states, nb::tuple outputs,
             nb::handle lengths, nb::handle reset, ptrdiff_t steps, ptrdiff_t rows, int threads) const;

  private:
    const ValueType& type(int value) const {
        if (value < 0 || size_t(value) >= program_.values.size()) refuse("there is no such value");
        return program_.values[size_t(value)];
    }
    ptrdiff_t width(int value) const { return type(value).width; }
    void same_width(int x, int y) const {
        if (width(x) != width(y) || width(x) == 0) refuse("values have different sizes");
    }
    template <class One>
    void add(One&& node, bool keeps_steps = true) {
        if (is_finished_) refuse("the program is finished");
        if (keeps_steps && type(node.x).is_per_step != type(node.y).is_per_step) refuse("only one value has steps");
        program_.nodes.emplace_back(std::move(node));
    }
    void read_places(Arrays& arrays, nb::tuple objects, const std::vector<int>& values, ptrdiff_t steps,
                     ptrdiff_t rows, bool are_written, std::vector<Place>& places) const;
    template <class State>
    void read_states(Arrays& arrays, nb::tuple objects, ptrdiff_t rows, std::vector<State*>& states) const;
    void read_begun(Arrays& arrays, nb::tuple objects, ptrdiff_t rows, std::vector<const bool*>& begun) const;

    Program<T> program_;
    std::vector<Spec> states_;
    std::vector<bool> begin_with_values_;  // as states_
    bool is_finished_ = false;
};

template <class T>
void PythonProgram<T>::add_gru(int x, int y, int state, const std::vector<int>& last,
                               const std::vector<int>& begins, const LayerSizes& sizes, nb::handle parameters,
                               nb::handle anew, const std::string& stored) {
    const Spec& spec = sizes.spec;
    if (width(x) != spec.input_size || width(y) != spec.num_directions * spec.hidden_size)
        refuse("the values around a GRU have other sizes");
    if (size_t(state) != states_.size() || ptrdiff_t(last.size()) != spec.cells()) refuse("states come in order");
    for (const int value : last)
        if (value >= 0 && (width(value) != spec.hidden_size || type(value).is_per_step))
            refuse("a last state has another size");
    if (!begins.empty() && (ptrdiff_t(begins.size()) != spec.cells() || !anew.is_none()))
        refuse("a GRU begins with a value for each layer and direction, or with learned states");
    for (const int value : begins)
        if (width(value) != spec.hidden_size || type(value).is_per_step) refuse("a beginning has another size");
    Arrays arrays(Source::buffers);
    Cell<T> cells[kMostCells];
    if (!read_parameters(arrays, sizes, parameters, cells)) refuse("parameters of a GRU are dense arrays");
    const Type type = type_named(stored);
    Block packed = with_types(sizes.type, type, [&]<class V, class S>(Tag<V>, Tag<S>) {
        if constexpr (__is_same(V, T)) {
            Block memory = borrow(packed_bytes<S>(*program_.table, spec));
            pack<S>(*program_.table, spec, cells, memory.data());
            return memory;
        } else {
            refuse("parameters of a GRU are of the type of the program");
            return Block(0);
        }
    });
    states_.push_back(spec);
    begin_with_values_.push_back(!begins.empty());
    std::vector<T> first = copied<T>(anew, {spec.cells(), spec.hidden_size});
    add(GruNode<T>{x, y, state, last, begins, std::move(first), spec, stored_as(sizes.type, type),
                   std::move(packed)});
}

template <class T>
void PythonProgram<T>::read_places(Arrays& arrays, nb::tuple objects, const std::vector<int>& values,
                                   ptrdiff_t steps, ptrdiff_t rows, bool are_written,
                                   std::vector<Place>& places) const {
    if (objects.size() != values.size()) refuse("there are too few or too many arrays");
    for (size_t i = 0; i < values.size(); ++i) {
        const ValueType& value = program_.values[size_t(values[i])];
        ArrayView view;
        const bool is_read = value.width == 0 ? arrays.read<int64_t>(objects[i], view)
                                              : arrays.read<T>(objects[i], view, are_written);
        const int axes = int(value.is_per_step) + 1, dims = axes + int(value.width > 0);
        if (!is_read || view.dims != dims || view.shape[axes - 1] != rows ||
            (value.is_per_step && view.shape[0] != steps))
            refuse("an array has another type or size");
        if (value.width > 0 && (view.shape[axes] != value.width || (value.width > 1 && view.strides[axes] != 1)))
            refuse("the values of a vector stand side by side");
        places.push_back({view.data, value.is_per_step ? view.strides[0] : 0, view.strides[axes - 1]});
    }
}

template <class T>
template <class State>
void PythonProgram<T>::read_states(Arrays& arrays, nb::tuple objects, ptrdiff_t rows,
                                   std::vector<State*>& states) const {
    if (objects.size() != states_.size()) refuse("there are too few or too many states");
    for (size_t i = 0; i < states_.size(); ++i) {
        State* state;
        if (!arrays.read_dense(objects[i], {states_[i].cells(), rows, states_[i].hidden_size}, state))
            refuse("a state has another type or size");
        states.push_back(state);
    }
}

template <class T>
void PythonProgram<T>::read_begun(Arrays& arrays, nb::tuple objects, ptrdiff_t rows,
                                  std::vector<const bool*>& begun) const {
    if (objects.size() != states_.size()) refuse("there are too few or too many rows that begin");
    for (size_t i = 0; i < states_.size(); ++i) {
        const bool* marks;
        if (!arrays.read_optional(objects[i], {rows}, marks) || (marks != nullptr && !begin_with_values_[i]))
            refuse("rows that begin are booleans, of a GRU that begins with values");
        begun.push_back(marks);
    }
}

template <class T>
void PythonProgram<T>::run(nb::tuple inputs, nb::tuple states, nb::tuple begun, nb::tuple next_states,
                           nb::tuple outputs, nb::handle lengths, nb::handle reset, ptrdiff_t steps, ptrdiff_t rows,
                           int threads) const {
    if (!is_finished_ || steps < 1 || rows < 0 || threads < 1) refuse("the program cannot run like this");
    Arrays arrays(Source::buffers);
    std::vector<Place> from, to;
    std::vector<const T*> before;
    std::vector<T*> after;
    std::vector<const bool*> begin;
    read_places(arrays, inputs, program_.inputs, steps, rows, false, from);
    read_places(arrays, outputs, program_.outputs, steps, rows, true, to);
    read_states(arrays, states, rows, before);
    read_begun(arrays, begun, rows, begin);
    read_states(arrays, next_states, rows, after);
    ProgramCall<T> call{};
    call.steps = steps;
    call.rows = rows;
    call.inputs = from.data();
    call.outputs = to.data();
    call.states = before.data();
    call.begun = begin.data();
    call.next_states = after.data();
    call.threads = threads;
    const bool* marks;
    if (!arrays.read_optional(lengths, {rows}, call.lengths) || !arrays.read_optional(reset, {steps, rows}, marks))
        refuse("lengths are int64, and resets booleans for each step and row");
    call.resets = {.marks = reinterpret_cast<const unsigned char*>(marks),
                   .step_stride = rows,
                   .row_stride = 1,
                   .state = nullptr,
                   .state_stride = 0};
    if (rows == 0) return;
    std::optional<ReleasedGil> released;
    if (call_microseconds(program_, call) >= kKeepsGil) released.emplace();
    must_have(fastgru::run(program_, call));
}

template <class T>
void bind_program_of(nb::module_& m, const char* name) {
    using Own = PythonProgram<T>;
    nb::class_<Own>(m, name, "A whole model: nodes that are computed one after another by one call.")
        .def(nb::init<const std::vector<std::pair<bool, ptrdiff_t>>&>(), nb::arg("values"))
        .def("add_linear", &Own::add_linear, nb::arg("x"), nb::arg("y"), nb::arg("weight"), nb::arg("bias").none(),
             nb::arg("function"), nb::arg("a"), nb::arg("b"))
        .def("add_embedding", &Own::add_embedding, nb::arg("x"), nb::arg("y"), nb::arg("rows"), nb::arg("table"))
        .def("add_activation", &Own::add_activation, nb::arg("x"), nb::arg("y"), nb::arg("function"), nb::arg("a"),
             nb::arg("b"))
        .def("add_combine", &Own::add_combine, nb::arg("operation"), nb::arg("x"), nb::arg("other"), nb::arg("y"),
             nb::arg("constant").none(), nb::arg("swaps"))
        .def("add_softmax", &Own::add_softmax, nb::arg("x"), nb::arg("y"), nb::arg("is_log"))
        .def("add_layer_norm", &Own::add_layer_norm, nb::arg("x"), nb::arg("y"), nb::arg("weight").none(),
             nb::arg("bias").none(), nb::arg("eps"))
        .def("add_copy", &Own::add_copy, nb::arg("x"), nb::arg("y"), nb::arg("x_first"), nb::arg("y_first"),
             nb::arg("width"))
        .def("add_last", &Own::add_last, nb::arg("x"), nb::arg("y"))
        .def("add_gru", &Own::add_gru, nb::arg("x"), nb::arg("y"), nb::arg("state"), nb::arg("last"),
             nb::arg("begins"), nb::arg("sizes"), nb::arg("parameters"), nb::arg("anew").none(), nb::arg("stored"))
        .def("finish", &Own::finish, nb::arg("inputs"), nb::arg("outputs"))
        .def("run", &Own::run, nb::arg("inputs"), nb::arg("states"), nb::arg("begun"), nb::arg("next_states"),
             nb::arg("outputs"), nb::arg("lengths").none(), nb::arg("reset").none(), nb::arg("steps"),
             nb::arg("rows"), nb::arg("threads"));
}

}  // namespace

void bind_program(nb::module_& m) {
    bind_program_of<float>(m, "ProgramFloat32");
    bind_program_of<double>(m, "ProgramFloat64");
}

}  // namespace fastgru::python
