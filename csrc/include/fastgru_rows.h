// The C++ API of row-wise operations: what stands around a GRU in a model, for float and double.
//
// As in fastgru.h, nothing here allocates, throws or prints, and the caller has checked all sizes. A matrix has
// `rows` vectors with their values side by side, `stride` values apart. Results have the same bits whatever the
// other rows, the threads and the level, as long as it has fused multiply-adds (docs/numerics.md).
//
//   Linear<float> call{.rows = 8, .in_features = 64, .out_features = 32, .input = {x, 64}, .weight = w,
//                      .output = {y, 32}};
//   run(table, call, workspace);   // of workspace_bytes(table, call), aligned to 64; or run_call of run_calls.h
#pragma once

#include "fastgru.h"
#include "shared/row_kernels.h"

namespace fastgru {

template <class T>
struct Matrix {
    T* data = nullptr;
    ptrdiff_t stride = 0;

    T* row(ptrdiff_t i) const { return data + i * stride; }
    // Moved to row i.
    Matrix from(ptrdiff_t i) const { return {row(i), stride}; }
};

// y = f(b + x . W^T), as torch.nn.Linear. Sizes may be 0.
template <class T>
struct Linear {
    static constexpr size_t value_bytes = sizeof(T);

    ptrdiff_t rows, in_features, out_features;
    Matrix<const T> input;      // [rows][K]
    const T* weight = nullptr;  // [N][K]; not read where `packed` is given
    const T* bias = nullptr;    // [N]; null: zeros
    Matrix<T> output;           // [rows][N]; overlaps nothing else
    Activation activation = {};
    const void* packed = nullptr;  // from `pack_linear` with the same table
    int threads = 1;               // at most this many
    bool is_awake = false;         // threads start work immediately (host/threads.h)
};

// Weights packed once for many calls, for the kernels of one level.
template <class T>
size_t packed_linear_bytes(const KernelTable& table, ptrdiff_t in_features, ptrdiff_t out_features);
// To memory aligned to 64.
template <class T>
void pack_linear(const KernelTable& table, ptrdiff_t in_features, ptrdiff_t out_features, const T* weight,
                 void* packed);

// The gradients of a linear layer without activation. Those that are null are not wanted.
template <class T>
struct LinearBackward {
    static constexpr size_t value_bytes = sizeof(T);

    ptrdiff_t rows, in_features, out_features;
    Matrix<const T> d_output;    // [rows][N]
    Matrix<const T> input = {};  // [rows][K]; read for d_weight
    const T* weight = nullptr;   // [N][K]; read for d_input
    Matrix<T> d_input = {};      // [rows][K]
    T* d_weight = nullptr;       // [N][K]
    T* d_bias = nullptr;         // [N]
    int threads = 1;
    bool is_awake = false;
};

template <class T>
size_t workspace_bytes(const KernelTable& table, const Linear<T>& call);
template <class T>
size_t workspace_bytes(const KernelTable& table, const LinearBackward<T>& call);
template <class T>
void run(const KernelTable& table, const Linear<T>& call, void* workspace);
template <class T>
void run(const KernelTable& table, const LinearBackward<T>& call, void* workspace);

// The operations below need no workspace.

// y = f(x), value by value. The output may be the input.
template <class T>
struct Activate {
    static constexpr size_t value_bytes = sizeof(T);

    ptrdiff_t rows, width;
    Matrix<const T> input;
    Matrix<T> output;
    Activation activation;
    int threads = 1;
    bool is_awake = false;
};
template <class T>
void run(const KernelTable& table, const Activate<T>& call);

// y = left (operation) right. A side may be a matrix, one vector for all rows, or a value for each or for all rows
// (Operand). The output may be one of the two.
template <class T>
struct Combine {
    static constexpr size_t value_bytes = sizeof(T);

    Operation operation;
    ptrdiff_t rows, width;
    Operand<T> left, right;
    Matrix<T> output;
    int threads = 1;
    bool is_awake = false;
};
template <class T>
void run(const KernelTable& table, const Combine<T>& call);

// Softmax of each vector, or its logarithm. The output may be the input.
template <class T>
struct Softmax {
    static constexpr size_t value_bytes = sizeof(T);

    ptrdiff_t rows, width;
    Matrix<const T> input;
    Matrix<T> output;
    bool is_log = false;
    int threads = 1;
    bool is_awake = false;
};
template <class T>
void run(const KernelTable& table, const Softmax<T>& call);

// (x - mean) / sqrt(variance + eps) * weight + bias, of each vector. The output may be the input.
template <class T>
struct LayerNorm {
    static constexpr size_t value_bytes = sizeof(T);

    ptrdiff_t rows, width;
    Matrix<const T> input;
    const T *weight = nullptr, *bias = nullptr;  // [width]; null: ones, zeros
    double eps = 1e-5;
    Matrix<T> output;
    T *mean = nullptr, *scale = nullptr;  // [rows]: the means, and 1 / sqrt(variance + eps); null: not wanted
    int threads = 1;
    bool is_awake = false;
};
template <class T>
void run(const KernelTable& table, const LayerNorm<T>& call);

// The approximate time of one thread.
template <class T>
double call_microseconds(const Linear<T>& call);
template <class T>
double call_microseconds(const LinearBackward<T>& call);
template <class T>
double call_microseconds(const Activate<T>& call);
template <class T>
double call_microseconds(const Combine<T>& call);
template <class T>
double call_microseconds(const Softmax<T>& call);
template <class T>
double call_microseconds(const LayerNorm<T>& call);

}  // namespace fastgru
