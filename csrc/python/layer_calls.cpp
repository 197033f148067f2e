// The forward and the backward pass of a layer on arrays, wherever their memory comes from.

#include "python/forward_call.h"

namespace fastgru::python {

namespace {

// Results that are made are tensors, and several models stand by their addresses.
bool is_possible(Source source, bool makes_results, const Models& models) {
    return (!makes_results || source == Source::tensors) && (models.count == 1 || source == Source::addresses);
}

struct ForwardArguments {
    InputArguments inputs;
    nb::handle parameters;
    ResultArguments to;
    bool recomputes;
    int threads;
    const Models& models;
};

template <class T>
nb::object forward(const LayerSizes& sizes, const ForwardArguments& a) {
    const bool makes_results = a.to.results.is_none();
    const Source source = source_of(a.inputs.input, !makes_results);
    if (!is_possible(source, makes_results, a.models)) return nb::none();
    Arrays arrays(source);
    Cell<T> cells[kMostCells];
    Forward<T> call{};
    call.spec = sizes.spec;
    call.cells = cells;
    call.recomputes = a.recomputes;
    call.threads = a.threads;
    if (!read_parameters(arrays, sizes, a.parameters, cells)) return nb::none();
    return forward_with(arrays, sizes, a.inputs, a.to, a.models, call);
}

// One step of a layer of one cell, from matrices to a matrix.
template <class T>
nb::object step(const LayerSizes& sizes, nb::handle input, nb::handle h_0, nb::handle parameters, int threads) {
    const Spec& spec = sizes.spec;
    Arrays arrays(Source::tensors);
    ArrayView x;
    Cell<T> cell;
    Forward<T> call{};
    if (spec.cells() != 1 || !arrays.read<T>(input, x) || x.dims != 2 || x.shape[0] == 0 ||
        x.shape[1] != spec.input_size || (spec.input_size > 1 && x.strides[1] != 1) ||
        !arrays.read_optional(h_0, {x.shape[0], spec.hidden_size}, call.h_0) ||
        !read_parameters(arrays, sizes, parameters, &cell))
        return nb::none();
    call.spec = spec;
    call.cells = &cell;
    call.batch = {.steps = 1, .rows = x.shape[0]};
    call.input = {
        .data = static_cast<const T*>(x.data), .row_stride = x.strides[0], .step_stride = 0, .is_flat = false};
    call.threads = threads;
    try {
        nb::object state = make({x.shape[0], spec.hidden_size}, call.h_n);
        call.output = {.data = call.h_n, .row_stride = spec.hidden_size, .step_stride = 0, .is_flat = false};
        run_one(call);
        return state;
    } catch (const NoMemory&) {
        return nb::none();
    }
}

// What else the backward pass reads, and whose gradients are wanted: for input, h_0, the state that resets put in
// (one for every row) and each parameter an array to write to, True for a tensor that is made, or False.
struct BackwardArguments {
    InputArguments inputs;
    nb::handle parameters, output, saved, d_output, d_h_n, gradients;
    bool recomputes;
    int threads;
    const Models& models;
};

// Everything that a backward pass reads; false where an array cannot be read.
template <class T>
bool read_backward(Arrays& arrays, const LayerSizes& sizes, const BackwardArguments& a, Batches& batches,
                   Cell<T>* cells, Backward<T>& call, size_t& saved_count) {
    const Layout layout = a.inputs.layout();
    const int64_t features = sizes.spec.num_directions * sizes.spec.hidden_size;
    if (!read_input(arrays, a.inputs, a.models, batches, call)) return false;
    if (!a.d_output.is_none() && !read_sequence(arrays, a.d_output, layout, features, call.batch, call.d_output))
        return false;
    return read_states(arrays, a.inputs, call) &&
           arrays.read_optional(a.d_h_n, shape_of_states(sizes.spec, call.batch), call.d_h_n) &&
           read_sequence(arrays, a.output, layout, features, call.batch, call.output) &&
           read_parameters(arrays, sizes, a.parameters, cells) &&
           read_saved(arrays, a.saved, call.saved, saved_count);
}

// The memory of gradients as a call wants it, and what Python gets: a tuple.
class Gradients {
  public:
    Gradients(Arrays& arrays, nb::handle wanted) : arrays_(arrays), wanted_(wanted) {
        found_ = nb::steal(PyTuple_New(NB_TUPLE_GET_SIZE(wanted.ptr())));
        if (!found_.is_valid()) throw nb::python_error();
    }

    // Whether tensors are made for some.
    static bool are_made(nb::handle wanted) {
        return any(wanted, [](PyObject* one) { return one == Py_True; });
    }
    // Whether there is memory for some.
    static bool are_given(nb::handle wanted) {
        return any(wanted, [](PyObject* one) { return !PyBool_Check(one); });
    }

    // The array in this place; null data where it is not wanted. False where it cannot be written to. Throws
    // NoMemory.
    template <class T>
    bool take(Py_ssize_t i, const Shape& shape, T*& data);

    const nb::object& found() const { return found_; }

  private:
    template <class Is>
    static bool any(nb::handle wanted, const Is& is) {
        for (Py_ssize_t i = 0; i < NB_TUPLE_GET_SIZE(wanted.ptr()); ++i)
            if (is(NB_TUPLE_GET_ITEM(wanted.ptr(), i))) return true;
        return false;
    }

    Arrays& arrays_;
    nb::handle wanted_;
    nb::object found_;
};

template <class T>
bool Gradients::take(Py_ssize_t i, const Shape& shape, T*& data) {
    const nb::handle wanted(NB_TUPLE_GET_ITEM(wanted_.ptr(), i));
    data = nullptr;
    nb::object own = nb::none();
    if (wanted.ptr() == Py_True) {
        own = make(shape, data);
    } else if (wanted.ptr() != Py_False) {
        if (!arrays_.read_dense(wanted, shape, data)) return false;
        own = nb::borrow(wanted);
    }
    NB_TUPLE_SET_ITEM(found_.ptr(), i, own.release().ptr());
    return true;
}

template <class T>
bool take_gradients(Gradients& gradients, const LayerSizes& sizes, Layout layout, CellGradients<T>* d_cells,
                    Backward<T>& call) {
    const Spec& spec = sizes.spec;
    const Shape states = shape_of_states(spec, call.batch);
    T* d_input;
    if (!gradients.take(0, shape_of_vectors(call.batch, layout, spec.input_size), d_input) ||
        !gradients.take(1, states, call.d_h_0) || !gradients.take(2, states, call.d_reset))
        return false;
    call.d_input = dense_sequence(d_input, call.batch, layout, spec.input_size);
    return take_parameters(sizes, d_cells, [&](ptrdiff_t i, const Shape& shape, T*& data) {
        return gradients.take(3 + i, shape, data);
    });
}

template <class T>
nb::object backward(const LayerSizes& sizes, const BackwardArguments& a) {
    if (!has_entries(a.gradients, sizes, 3)) return nb::none();
    const Source source = source_of(a.inputs.input, Gradients::are_given(a.gradients));
    if (!is_possible(source, Gradients::are_made(a.gradients), a.models)) return nb::none();
    Arrays arrays(source);
    Batches batches;
    Cell<T> cells[kMostCells];
    CellGradients<T> d_cells[kMostCells];
    Backward<T> call{};
    call.spec = sizes.spec;
    call.cells = cells;
    call.d_cells = d_cells;
    call.recomputes = a.recomputes;
    call.threads = a.threads;
    size_t saved_count = 0;
    if (!read_backward(arrays, sizes, a, batches, cells, call, saved_count)) return nb::none();
    try {
        Gradients gradients(arrays, a.gradients);
        if (!take_gradients(gradients, sizes, a.inputs.layout(), d_cells, call)) return nb::none();
        run_models(sizes, call, a.models, batches, saved_count);
        return gradients.found();
    } catch (const NoMemory&) {
        return nb::none();
    }
}

size_t count_saved_values(const LayerSizes& sizes, ptrdiff_t slots, ptrdiff_t total, bool recomputes) {
    return with_type(sizes.type,
                     [&]<class T>(Tag<T>) { return saved_values<T>(sizes.spec, slots, total, recomputes); });
}

void bind_forward(nb::class_<LayerSizes>& sizes) {
    sizes.def(
        "forward",
        [](const LayerSizes& self, nb::handle input, nb::handle h_0, nb::handle parameters, nb::handle batch_sizes,
           nb::handle lengths, nb::handle reset, nb::handle reset_state, bool batch_first, nb::handle from_pool,
           bool recomputes, int threads, nb::handle results, const Models* models) {
            const ForwardArguments arguments{
                .inputs = {input, h_0, {batch_sizes, lengths, reset, reset_state}, batch_first},
                .parameters = parameters,
                .to = {.from_pool = from_pool, .results = results},
                .recomputes = recomputes,
                .threads = threads,
                .models = models == nullptr ? kOneModel : *models,
            };
            return with_type(self.type, [&]<class T>(Tag<T>) { return forward<T>(self, arguments); });
        },
        nb::arg("input"), nb::arg("h_0").none(), nb::arg("parameters"), nb::arg("batch_sizes").none(),
        nb::arg("lengths").none(), nb::arg("reset").none(), nb::arg("reset_state").none(), nb::arg("batch_first"),
        nb::arg("from_pool").none(), nb::arg("recomputes"), nb::arg("threads"), nb::arg("results") = nb::none(),
        nb::arg("models") = nb::none(),
        "Output and h_n, and what the backward pass needs; None where an array cannot be read as it is, or there "
        "is no memory for the tensors that are made.");
}

void bind_step(nb::class_<LayerSizes>& sizes) {
    sizes.def(
        "step",
        [](const LayerSizes& self, nb::handle input, nb::handle h_0, nb::handle parameters, int threads) {
            return with_type(self.type,
                             [&]<class T>(Tag<T>) { return step<T>(self, input, h_0, parameters, threads); });
        },
        nb::arg("input"), nb::arg("h_0").none(), nb::arg("parameters"), nb::arg("threads"),
        "The state (B, H) of one cell after a step, from tensors (B, I) and (B, H); None as above.");
}

void bind_backward(nb::class_<LayerSizes>& sizes) {
    sizes.def(
        "backward",
        [](const LayerSizes& self, nb::handle input, nb::handle h_0, nb::handle parameters, nb::handle batch_sizes,
           nb::handle lengths, nb::handle reset, nb::handle reset_state, bool batch_first, nb::handle output,
           nb::handle saved, bool recomputes, nb::handle d_output, nb::handle d_h_n, nb::handle gradients,
           int threads, const Models* models) {
            const BackwardArguments arguments{
                .inputs = {input, h_0, {batch_sizes, lengths, reset, reset_state}, batch_first},
                .parameters = parameters,
                .output = output,
                .saved = saved,
                .d_output = d_output,
                .d_h_n = d_h_n,
                .gradients = gradients,
                .recomputes = recomputes,
                .threads = threads,
                .models = models == nullptr ? kOneModel : *models,
            };
            return with_type(self.type, [&]<class T>(Tag<T>) { return backward<T>(self, arguments); });
        },
        nb::arg("input"), nb::arg("h_0").none(), nb::arg("parameters"), nb::arg("batch_sizes").none(),
        nb::arg("lengths").none(), nb::arg("reset").none(), nb::arg("reset_state").none(), nb::arg("batch_first"),
        nb::arg("output"), nb::arg("saved"), nb::arg("recomputes"), nb::arg("d_output").none(),
        nb::arg("d_h_n").none(), nb::arg("gradients"), nb::arg("threads"), nb::arg("models") = nb::none(),
        "Gradients of input, h_0, reset_state (one for every row) and parameters, None for those not wanted; or "
        "None as above.");
}

}  // namespace

void bind_layer_calls(nb::class_<LayerSizes>& sizes) {
    sizes.def("saved_values", count_saved_values, nb::arg("slots"), nb::arg("total"), nb::arg("recomputes"),
              "How many values a training forward leaves for the backward pass: of `total` vectors that are "
              "computed, in `slots` of memory.");
    bind_forward(sizes);
    bind_step(sizes);
    bind_backward(sizes);
}

}  // namespace fastgru::python
