// The kernels of row-wise operations of one instruction-set level, and their arguments: what stands around a GRU in
// a model. L is the number of lanes of a vector; a matrix has vectors of values side by side, `stride` values
// apart.
#pragma once

#include <stddef.h>

#include "shared/kernel_table.h"
#include "shared/panels.h"

namespace fastgru {

// Functions of one value. Those with parameters take them from Activation.
enum class Function {
    none,          // x
    relu,          // max(0, x)
    leaky_relu,    // x > 0 ? x : a x
    elu,           // x > 0 ? x : a (exp(x) - 1)
    selu,          // 1.0507 (x > 0 ? x : 1.6733 (exp(x) - 1))
    gelu,          // x / 2 (1 + erf(x / sqrt 2))
    gelu_tanh,     // x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
    silu,          // x sigmoid(x)
    sigmoid,       // 1 / (1 + exp(-x))
    tanh,          //
    softplus,      // a x > b ? x : log(1 + exp(a x)) / a
    softsign,      // x / (1 + |x|)
    hard_sigmoid,  // min(max(a x + b, 0), 1)
    clip,          // min(max(x, a), b)
    hard_swish,    // x min(max(x / 6 + 1/2, 0), 1)
    exp,           //
    log,           //
    erf,           //
    abs,           //
    negate,        // -x
    sqrt,          //
};
constexpr int kFunctions = int(Function::sqrt) + 1;

struct Activation {
    Function function = Function::none;
    double a = 0, b = 0;
};

enum class Operation { add, subtract, multiply, divide };

// One side of an operation on two values: a vector for each row, or one value that stands for all of a vector.
template <class T>
struct Operand {
    const T* data;
    ptrdiff_t stride;  // 0: the same for all rows
    bool is_value = false;
};

// Rows of a linear layer, y = b + x . W^T. A sum begins with its bias and takes the K products in order, each with
// one fused multiply-add: so it has the same bits in any tile.
template <class T>
struct LinearRows {
    ptrdiff_t rows, in_features, out_features;  // rows, K, N
    const T* input;
    ptrdiff_t input_stride;
    const T* weight;  // [N][K], or panels as pack_linear makes them
    const T* bias;    // [N]; null: zeros
    T* output;
    ptrdiff_t output_stride;
    Activation activation;
};

// The columns of a linear layer in panels of whole vectors.
template <class T>
FASTGRU_INLINE EqualParts linear_panels(ptrdiff_t out_features, ptrdiff_t lanes) {
    return EqualParts(0, ceil_div(out_features, lanes), kPanelVectors);
}
// Most rows that use weights as they are: more pay for packing them.
template <class T>
constexpr ptrdiff_t kLinearRows = kSingleStepRows<T>;

// The gradient of a linear layer's input, d_x = d_y . W: a sum over N in pieces of 64 terms, each from zero.
template <class T>
struct LinearInputGradient {
    ptrdiff_t rows, in_features, out_features;
    const T* d_output;
    ptrdiff_t d_output_stride;
    const T* weight;  // [N][K]
    T* d_input;
    ptrdiff_t d_input_stride;
};

// Its gradients of weight and bias, d_W = d_y^T . x and d_b: sums over rows, in pieces of 128 that are counted from
// the first row, each from zero. Rows come in chunks of whole pieces. A part of the weight is one by itself.
template <class T>
struct LinearWeightGradient {
    ptrdiff_t rows, in_features, out_features;
    const T *left, *right;  // d_output and input as pack_rows makes them, [panel][rows][W][L]
    T* d_weight;            // [N], d_weight_stride apart
    ptrdiff_t d_weight_stride;
    bool adds;  // to what earlier chunks left
};
constexpr ptrdiff_t kSumRows = 128;

// One vector after another: mean and variance, and what comes of them.
template <class T>
struct Normalization {
    ptrdiff_t rows, width;
    const T* input;
    ptrdiff_t input_stride;
    const T *weight, *bias;  // [width]; null: ones, zeros
    double eps;
    T* output;
    ptrdiff_t output_stride;
    T *mean, *scale;  // [rows]: what was subtracted, and what it was multiplied with; null: not wanted
};

template <class T>
struct RowKernels {
    ptrdiff_t lanes;  // L

    // The panels [begin, end) of a weight [N][K], each [K][W][L].
    void (*pack_linear)(const T* weight, ptrdiff_t N, ptrdiff_t K, T* packed, ptrdiff_t begin, ptrdiff_t end);
    // The panels [begin, end), of packed weights; vectors [begin, end), of at most kLinearRows<T> rows and weights
    // as they are.
    void (*linear)(const LinearRows<T>&, ptrdiff_t begin, ptrdiff_t end);
    void (*linear_unpacked)(const LinearRows<T>&, ptrdiff_t begin, ptrdiff_t end);
    // The vectors [begin, end) of d_input.
    void (*linear_input_gradient)(const LinearInputGradient<T>&, ptrdiff_t begin, ptrdiff_t end);
    void (*linear_weight_gradient)(const LinearWeightGradient<T>&);
    // Columns [begin, end) of the sum over rows.
    void (*linear_bias_gradient)(const T* d_output, ptrdiff_t stride, ptrdiff_t rows, T* d_bias, ptrdiff_t begin,
                                 ptrdiff_t end, bool adds);
    // y may be x.
    void (*activate)(const Activation&, const T* x, T* y, ptrdiff_t n);
    // y may be one of the two.
    void (*combine)(Operation, const Operand<T>& left, const Operand<T>& right, T* y, ptrdiff_t n);
    void (*softmax)(const T* x, T* y, ptrdiff_t n);
    void (*log_softmax)(const T* x, T* y, ptrdiff_t n);
    void (*normalize)(const Normalization<T>&, ptrdiff_t begin, ptrdiff_t end);  // rows
};

struct RowTable {
    RowKernels<float> float32;
    RowKernels<double> float64;
};

template <class T>
FASTGRU_INLINE const RowKernels<T>& row_kernels(const KernelTable& table) {
    if constexpr (__is_same(T, float))
        return table.rows->float32;
    else
        return table.rows->float64;
}

// One definition per level, as of the tables that point to them.
namespace baseline {
extern const RowTable row_table;
}
namespace neon {
extern const RowTable row_table;
}
namespace avx2 {
extern const RowTable row_table;
}
namespace avx512 {
extern const RowTable row_table;
}

}  // namespace fastgru
