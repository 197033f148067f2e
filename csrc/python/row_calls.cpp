// Row-wise operations on arrays. An array that cannot be read as it is gives None, and Python has other ways.
#include <nanobind/stl/string.h>

#include "python/row_arrays.h"

namespace fastgru::python {

namespace {

const char* const kFunctionNames[kFunctions] = {
    "none",       "relu",    "leaky_relu", "elu",      "selu",     "gelu",         "gelu_tanh",
    "silu",       "sigmoid", "tanh",       "softplus", "softsign", "hard_sigmoid", "clip",
    "hard_swish", "exp",     "log",        "erf",      "abs",      "negate",       "sqrt"};

// Linear without its weights: what is read of the input and made of the output.
template <class T>
nb::object linear(nb::handle input, nb::handle weight, nb::handle bias, nb::handle out,
                  const Activation& activation, int threads) {
    const Source source = source_of(input, !out.is_none());
    Arrays arrays(source);
    Vectors<const T> x;
    Vectors<T> y;
    ArrayView w;
    Linear<T> call{};
    if (!read_vectors(arrays, input, x) || !arrays.read<T>(weight, w) || w.dims != 2 || w.shape[1] != x.width ||
        !w.is_dense() || !arrays.read_optional(bias, {w.shape[0]}, call.bias))
        return nb::none();
    nb::object result = result_vectors(arrays, source, out, x, w.shape[0], y);
    if (!result.is_valid()) return nb::none();
    call.rows = x.rows, call.in_features = x.width, call.out_features = w.shape[0];
    call.input = x.matrix;
    call.weight = static_cast<const T*>(w.data);
    call.output = y.matrix;
    call.activation = activation;
    call.threads = threads;
    run_rows_released(active_table(), call);
    return result;
}

// One gradient: where it goes, which is a tensor that is made where `wanted` is True, and null where it is False.
template <class T>
bool take_gradient(Arrays& arrays, nb::handle wanted, const Shape& shape, T*& data, nb::object& found) {
    data = nullptr;
    found = nb::none();
    if (wanted.ptr() == Py_False) return true;
    if (wanted.ptr() == Py_True) {
        Shape sizes = shape;
        void* at;
        found = torch_tensors.make(kElementType<T>, sizes.dims, sizes.sizes, at);
        data = static_cast<T*>(at);
        return true;
    }
    found = nb::borrow(wanted);
    return arrays.read_dense(wanted, shape, data);
}

struct Wanted {
    nb::handle input, weight, bias;

    bool makes_some() const { return input.ptr() == Py_True || weight.ptr() == Py_True || bias.ptr() == Py_True; }
};

template <class T>
nb::object linear_gradients(nb::handle d_output, nb::handle input, nb::handle weight, const Wanted& wanted,
                            int threads) {
    const Source source = source_of(d_output, !wanted.makes_some());
    Arrays arrays(source);
    Vectors<const T> dy, x;
    ArrayView w;
    if ((wanted.makes_some() && source != Source::tensors) || !read_vectors(arrays, d_output, dy) ||
        !read_vectors(arrays, input, x) || !dy.is_like(x, dy.width) || !arrays.read<T>(weight, w) || w.dims != 2 ||
        !w.has_shape({dy.width, x.width}) || !w.is_dense())
        return nb::none();
    LinearBackward<T> call{};
    call.rows = x.rows, call.in_features = x.width, call.out_features = dy.width;
    nb::object d_x, d_w, d_b;
    Vectors<T> to{};
    if (wanted.input.ptr() == Py_False)
        d_x = nb::none();
    else if (d_x =
                 result_vectors(arrays, source, wanted.input.ptr() == Py_True ? nb::handle(Py_None) : wanted.input,
                                x, x.width, to);
             !d_x.is_valid())
        return nb::none();
    if (!take_gradient(arrays, wanted.weight, {dy.width, x.width}, call.d_weight, d_w) ||
        !take_gradient(arrays, wanted.bias, {dy.width}, call.d_bias, d_b))
        return nb::none();
    call.d_output = dy.matrix, call.input = x.matrix, call.d_input = to.matrix;
    call.weight = static_cast<const T*>(w.data);
    call.threads = threads;
    run_rows_released(active_table(), call);
    return nb::make_tuple(d_x, d_w, d_b);
}

template <class T>
nb::object activate(nb::handle input, const Activation& activation, nb::handle out, int threads) {
    const Source source = source_of(input, !out.is_none());
    Arrays arrays(source);
    Vectors<const T> x;
    Vectors<T> y;
    if (!read_vectors(arrays, input, x)) return nb::none();
    nb::object result = result_vectors(arrays, source, out, x, x.width, y);
    if (!result.is_valid()) return nb::none();
    run_rows_released(active_table(), Activate<T>{.rows = x.rows,
                                                  .width = x.width,
                                                  .input = x.matrix,
                                                  .output = y.matrix,
                                                  .activation = activation,
                                                  .threads = threads});
    return result;
}

// The other side of an operation: as many vectors, one for all, one value for each, or one for all.
template <class T>
bool read_operand(Arrays& arrays, nb::handle object, ptrdiff_t rows, ptrdiff_t width, Operand<T>& operand) {
    Vectors<const T> found;
    if (!read_vectors(arrays, object, found) || (found.rows != rows && found.rows != 1) ||
        (found.width != width && found.width != 1))
        return false;
    operand = {.data = found.matrix.data,
               .stride = found.rows == 1 ? 0 : found.matrix.stride,
               .is_value = found.width != width};
    return true;
}

template <class T>
nb::object combine(Operation operation, nb::handle left, nb::handle right, nb::handle out, int threads) {
    Arrays arrays(source_of(out, true));
    Vectors<T> y;
    if (!read_vectors(arrays, out, y)) return nb::none();
    Combine<T> call{};
    call.operation = operation;
    call.rows = y.rows, call.width = y.width;
    if (!read_operand(arrays, left, y.rows, y.width, call.left) ||
        !read_operand(arrays, right, y.rows, y.width, call.right))
        return nb::none();
    call.output = y.matrix;
    call.threads = threads;
    run_rows_released(active_table(), call);
    return nb::borrow(out);
}

template <class T>
nb::object softmax(nb::handle input, bool is_log, nb::handle out, int threads) {
    const Source source = source_of(input, !out.is_none());
    Arrays arrays(source);
    Vectors<const T> x;
    Vectors<T> y;
    if (!read_vectors(arrays, input, x)) return nb::none();
    nb::object result = result_vectors(arrays, source, out, x, x.width, y);
    if (!result.is_valid()) return nb::none();
    run_rows_released(active_table(), Softmax<T>{.rows = x.rows,
                                                 .width = x.width,
                                                 .input = x.matrix,
                                                 .output = y.matrix,
                                                 .is_log = is_log,
                                                 .threads = threads});
    return result;
}

struct NormArguments {
    nb::handle input, weight, bias;
    double eps;
    nb::handle out, mean, scale;
    int threads;
};

// One value for each vector of `x`: to an array, to a tensor that is made where `wanted` is True, or nowhere where
// it is None.
template <class T>
bool take_statistic(Arrays& arrays, Source source, nb::handle wanted, const Vectors<const T>& x, T*& data,
                    nb::object& found) {
    data = nullptr;
    found = nb::none();
    if (wanted.is_none()) return true;
    Vectors<T> to{};
    found = result_vectors(arrays, source, wanted.ptr() == Py_True ? nb::handle(Py_None) : wanted, x, 1, to);
    data = to.matrix.data;
    return found.is_valid() && (to.rows <= 1 || to.matrix.stride == 1);
}

template <class T>
nb::object layer_norm(const NormArguments& a) {
    const Source source = source_of(a.input, !a.out.is_none());
    Arrays arrays(source);
    Vectors<const T> x;
    Vectors<T> y;
    LayerNorm<T> call{};
    if (!read_vectors(arrays, a.input, x) || !arrays.read_optional(a.weight, {x.width}, call.weight) ||
        !arrays.read_optional(a.bias, {x.width}, call.bias))
        return nb::none();
    nb::object result = result_vectors(arrays, source, a.out, x, x.width, y), mean, scale;
    if (!result.is_valid() || !take_statistic(arrays, source, a.mean, x, call.mean, mean) ||
        !take_statistic(arrays, source, a.scale, x, call.scale, scale))
        return nb::none();
    call.rows = x.rows, call.width = x.width;
    call.input = x.matrix, call.output = y.matrix;
    call.eps = a.eps;
    call.threads = a.threads;
    run_rows_released(active_table(), call);
    return nb::make_tuple(result, mean, scale);
}

void bind_linear(nb::module_& m) {
    m.def(
        "linear",
        [](nb::handle input, nb::handle weight, nb::handle bias, nb::handle out, int threads,
           const std::string& function, double a, double b) {
            const Activation activation = activation_named(function, a, b);
            return for_either_type(
                [&]<class T>(Tag<T>) { return linear<T>(input, weight, bias, out, activation, threads); });
        },
        nb::arg("input"), nb::arg("weight"), nb::arg("bias").none(), nb::arg("out").none(), nb::arg("threads"),
        nb::arg("function") = "none", nb::arg("a") = 0.0, nb::arg("b") = 0.0,
        "function(input . weight^T + bias), to `out` or a new tensor; None where an array cannot be read as it "
        "is.");
    m.def(
        "linear_gradients",
        [](nb::handle d_output, nb::handle input, nb::handle weight, nb::handle d_input, nb::handle d_weight,
           nb::handle d_bias, int threads) {
            const Wanted wanted{d_input, d_weight, d_bias};
            return for_either_type(
                [&]<class T>(Tag<T>) { return linear_gradients<T>(d_output, input, weight, wanted, threads); });
        },
        nb::arg("d_output"), nb::arg("input"), nb::arg("weight"), nb::arg("d_input"), nb::arg("d_weight"),
        nb::arg("d_bias"), nb::arg("threads"), "The gradients of input, weight and bias; None as from `linear`.");
}

void bind_values(nb::module_& m) {
    m.def(
        "activate",
        [](nb::handle input, const std::string& function, double a, double b, nb::handle out, int threads) {
            const Activation activation = activation_named(function, a, b);
            return for_either_type([&]<class T>(Tag<T>) { return activate<T>(input, activation, out, threads); });
        },
        nb::arg("input"), nb::arg("function"), nb::arg("a"), nb::arg("b"), nb::arg("out").none(),
        nb::arg("threads"), "A function of each value, by its name; None as from `linear`.");
    m.def(
        "combine",
        [](const std::string& name, nb::handle left, nb::handle right, nb::handle out, int threads) {
            const Operation operation = operation_named(name);
            return for_either_type(
                [&]<class T>(Tag<T>) { return combine<T>(operation, left, right, out, threads); });
        },
        nb::arg("operation"), nb::arg("left"), nb::arg("right"), nb::arg("out"), nb::arg("threads"),
        "An operation on two values, by its name; None as from `linear`.");
}

void bind_sums(nb::module_& m) {
    m.def(
        "softmax",
        [](nb::handle input, bool is_log, nb::handle out, int threads) {
            return for_either_type([&]<class T>(Tag<T>) { return softmax<T>(input, is_log, out, threads); });
        },
        nb::arg("input"), nb::arg("is_log"), nb::arg("out").none(), nb::arg("threads"),
        "Softmax over the last dimension, or its logarithm; None as from `linear`.");
    m.def(
        "layer_norm",
        [](nb::handle input, nb::handle weight, nb::handle bias, double eps, nb::handle out, nb::handle mean,
           nb::handle scale, int threads) {
            const NormArguments arguments{input, weight, bias, eps, out, mean, scale, threads};
            return for_either_type([&]<class T>(Tag<T>) { return layer_norm<T>(arguments); });
        },
        nb::arg("input"), nb::arg("weight").none(), nb::arg("bias").none(), nb::arg("eps"), nb::arg("out").none(),
        nb::arg("mean").none(), nb::arg("scale").none(), nb::arg("threads"),
        "Normalization over the last dimension, with means and scales; None as from `linear`.");
}

}  // namespace

Activation activation_named(const std::string& name, double a, double b) {
    for (int i = 0; i < kFunctions; ++i)
        if (name == kFunctionNames[i]) return {.function = Function(i), .a = a, .b = b};
    throw nb::value_error("the core knows no function of this name; FUNCTIONS has those that it knows");
}

Operation operation_named(const std::string& name) {
    const char* const names[] = {"add", "subtract", "multiply", "divide"};
    for (int i = 0; i < 4; ++i)
        if (name == names[i]) return Operation(i);
    throw nb::value_error("the core knows the operations add, subtract, multiply and divide");
}

void bind_row_calls(nb::module_& m) {
    nb::list names;
    for (const char* name : kFunctionNames) names.append(name);
    m.attr("FUNCTIONS") = nb::tuple(names);
    bind_linear(m);
    bind_values(m);
    bind_sums(m);
    bind_packed_linear(m);
}

}  // namespace fastgru::python
