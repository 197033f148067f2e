// Linear layers whose weights were packed before.
#include <nanobind/stl/string.h>
#include <string.h>

#include "python/row_arrays.h"

namespace fastgru::python {

namespace {

// Weights for the kernels of the level that was active, and the bias, in memory of their own.
class PackedLinear {
  public:
    PackedLinear(nb::handle weight, nb::handle bias) : table_(&active_table()) {
        if (!pack<float>(weight, bias) && !pack<double>(weight, bias))
            throw nb::value_error(
                "a linear layer is packed from a dense weight (N, K) and a bias (N) or None, float32 or float64");
    }

    nb::object run(nb::handle input, nb::handle out, const Activation& activation, int threads) const {
        try {
            return type_ == Type::float64 ? run_as<double>(input, out, activation, threads)
                                          : run_as<float>(input, out, activation, threads);
        } catch (const NoMemory&) {
            return nb::none();
        }
    }

  private:
    template <class T>
    bool pack(nb::handle weight, nb::handle bias);
    template <class T>
    nb::object run_as(nb::handle input, nb::handle out, const Activation& activation, int threads) const;

    const KernelTable* table_;
    Type type_ = Type::float32;
    ptrdiff_t in_features_ = 0, out_features_ = 0;
    std::optional<Block> weights_, bias_;
};

template <class T>
bool PackedLinear::pack(nb::handle weight, nb::handle bias) {
    Arrays arrays(source_of(weight, false));
    ArrayView w;
    const T* b;
    if (!arrays.read<T>(weight, w) || w.dims != 2 || !w.is_dense() || !arrays.read_optional(bias, {w.shape[0]}, b))
        return false;
    type_ = sizeof(T) == sizeof(double) ? Type::float64 : Type::float32;
    out_features_ = w.shape[0], in_features_ = w.shape[1];
    weights_.emplace(borrow(packed_linear_bytes<T>(*table_, in_features_, out_features_)));
    pack_linear(*table_, in_features_, out_features_, static_cast<const T*>(w.data), weights_->data());
    if (b == nullptr) return true;
    bias_.emplace(borrow(size_t(out_features_) * sizeof(T)));
    memcpy(bias_->data(), b, size_t(out_features_) * sizeof(T));
    return true;
}

template <class T>
nb::object PackedLinear::run_as(nb::handle input, nb::handle out, const Activation& activation, int threads) const {
    const Source source = source_of(input, !out.is_none());
    Arrays arrays(source);
    Vectors<const T> x;
    Vectors<T> y;
    if (!read_vectors(arrays, input, x) || x.width != in_features_) return nb::none();
    nb::object result = result_vectors(arrays, source, out, x, out_features_, y);
    if (!result.is_valid()) return nb::none();
    run_rows_released(*table_, Linear<T>{.rows = x.rows,
                                         .in_features = in_features_,
                                         .out_features = out_features_,
                                         .input = x.matrix,
                                         .bias = bias_ ? static_cast<const T*>(bias_->data()) : nullptr,
                                         .output = y.matrix,
                                         .activation = activation,
                                         .packed = weights_->data(),
                                         .threads = threads});
    return result;
}

}  // namespace

void bind_packed_linear(nb::module_& m) {
    nb::class_<PackedLinear>(m, "PackedLinear", "A linear layer's weights packed once for many calls.")
        .def(nb::init<nb::handle, nb::handle>(), nb::arg("weight"), nb::arg("bias").none())
        .def(
            "run",
            [](const PackedLinear& self, nb::handle input, nb::handle out, int threads, const std::string& function,
               double a, double b) { return self.run(input, out, activation_named(function, a, b), threads); },
            nb::arg("input"), nb::arg("out").none(), nb::arg("threads"), nb::arg("function") = "none",
            nb::arg("a") = 0.0, nb::arg("b") = 0.0, "As `linear`.");
}

}  // namespace fastgru::python
