// The gradients of a linear layer, in chunks of rows.
#include "fastgru_rows.h"
#include "host/row_plan.h"
#include "host/workspace.h"

namespace fastgru {

namespace {

// Rows whose vectors are packed at a time: whole pieces of the sums, which stay in the second-level cache panel by
// panel.
constexpr ptrdiff_t kChunkRows = 4 * kSumRows;

// Packing a vector takes about as long as its products with so many others. Units are divided before columns where
// it makes no difference, for then threads write to pages of their own.
constexpr double kUnitsOfPacking = 0.45, kColumnsOfPacking = 0.3;

// The gradient of a part of the weight: units of d_output against columns of the input, in panels of its own.
template <class T>
struct WeightPart {
    const T** row;    // [chunk]
    T *left, *right;  // [panel][chunk][W][L]
};

template <class T>
struct BackwardWork {
    const Kernels<T>& layer_kernels;
    const RowKernels<T>& kernels;
    int threads;
    Division of_input, of_weight;  // rows or units by columns

    ptrdiff_t vectors(ptrdiff_t values) const { return ceil_div(values, kernels.lanes); }
};

template <class T>
BackwardWork<T> work_of(const KernelTable& table, const LinearBackward<T>& call) {
    const RowKernels<T>& kernels = row_kernels<T>(table);
    const int threads = threads_for_rows(call_microseconds(call), call.threads, call.is_awake);
    const ptrdiff_t L = kernels.lanes, units = ceil_div(call.out_features, L),
                    columns = ceil_div(call.in_features, L);
    return {.layer_kernels = kernels_of<T>(table),
            .kernels = kernels,
            .threads = threads,
            .of_input = divided(call.rows, 0, columns, 1, threads),
            .of_weight = divided(units, kUnitsOfPacking, columns, kColumnsOfPacking, threads)};
}

template <class T>
WeightPart<T> lay_out_part(const BackwardWork<T>& work, const LinearBackward<T>& call, Arena& arena) {
    if (call.d_weight == nullptr) return {};
    const ptrdiff_t rows = min(call.rows, kChunkRows), L = work.kernels.lanes;
    const ptrdiff_t units = ceil_div(work.vectors(call.out_features), work.of_weight.by_rows);
    const ptrdiff_t columns = ceil_div(work.vectors(call.in_features), work.of_weight.by_columns);
    return {arena.take<const T*>(rows), arena.take<T>(rows * units * L), arena.take<T>(rows * columns * L)};
}

// Some columns of some rows of a matrix.
template <class T>
void pack_rows(const BackwardWork<T>& work, const Matrix<const T>& from, ptrdiff_t rows, ptrdiff_t width,
               const T** row, T* panels) {
    for (ptrdiff_t i = 0; i < rows; ++i) row[i] = from.row(i);
    work.layer_kernels.pack_rows({.row = row,
                                  .rows = rows,
                                  .K = width,
                                  .packed = panels,
                                  .panel_vectors = kPanelVectors,
                                  .begin = 0,
                                  .end = rows},
                                 0, work.vectors(width));
}

// A share of vectors in values, of which there may be fewer in the last.
inline Share values_of(const Share& vectors, ptrdiff_t lanes, ptrdiff_t total) {
    return {min(vectors.begin * lanes, total), min(vectors.end * lanes, total)};
}

template <class T>
void write_weight_gradient(const BackwardWork<T>& work, const LinearBackward<T>& call, int part,
                           const WeightPart<T>& memory) {
    const ptrdiff_t L = work.kernels.lanes, N = call.out_features, K = call.in_features;
    const Share units = values_of(work.of_weight.rows(work.vectors(N), part), L, N);
    const Share columns = values_of(work.of_weight.columns(work.vectors(K), part), L, K);
    const ptrdiff_t height = units.end - units.begin, width = columns.end - columns.begin;
    for (ptrdiff_t begin = 0; begin < max(1, call.rows) && height > 0 && width > 0; begin += kChunkRows) {
        const ptrdiff_t rows = min(kChunkRows, call.rows - begin);
        const Matrix<const T> left{call.d_output.row(begin) + units.begin, call.d_output.stride};
        const Matrix<const T> right{call.input.row(begin) + columns.begin, call.input.stride};
        pack_rows(work, left, rows, height, memory.row, memory.left);
        pack_rows(work, right, rows, width, memory.row, memory.right);
        work.kernels.linear_weight_gradient({.rows = rows,
                                             .in_features = width,
                                             .out_features = height,
                                             .left = memory.left,
                                             .right = memory.right,
                                             .d_weight = call.d_weight + units.begin * K + columns.begin,
                                             .d_weight_stride = K,
                                             .adds = begin > 0});
    }
}

template <class T>
void write_input_gradient(const BackwardWork<T>& work, const LinearBackward<T>& call, int part) {
    const Share rows = work.of_input.rows(call.rows, part);
    const Share columns = work.of_input.columns(work.vectors(call.in_features), part);
    work.kernels.linear_input_gradient({.rows = rows.end - rows.begin,
                                        .in_features = call.in_features,
                                        .out_features = call.out_features,
                                        .d_output = call.d_output.row(rows.begin),
                                        .d_output_stride = call.d_output.stride,
                                        .weight = call.weight,
                                        .d_input = call.d_input.row(rows.begin),
                                        .d_input_stride = call.d_input.stride},
                                       columns.begin, columns.end);
}

template <class T>
void run_part(const BackwardWork<T>& work, const LinearBackward<T>& call, int part, void* workspace) {
    Arena arena(workspace);
    if (call.d_input.data != nullptr) write_input_gradient(work, call, part);
    if (call.d_weight != nullptr) write_weight_gradient(work, call, part, lay_out_part(work, call, arena));
    if (call.d_bias == nullptr) return;
    const ptrdiff_t N = call.out_features;
    const Share columns = values_of(Share(work.vectors(N), part, work.threads), work.kernels.lanes, N);
    work.kernels.linear_bias_gradient(call.d_output.data, call.d_output.stride, call.rows, call.d_bias,
                                      columns.begin, columns.end, false);
}

}  // namespace

template <class T>
double call_microseconds(const LinearBackward<T>& call) {
    const double products = (call.d_input.data != nullptr) + (call.d_weight != nullptr);
    const double rows = double(call.rows) < kLeastProductRows ? kLeastProductRows : double(call.rows);
    const double size = double(sizeof(T)) / sizeof(float);
    return size * rows * double(call.out_features) *
           (products * double(call.in_features) / kProductsPerMicrosecond + 1 / kLinesPerMicrosecond);
}

template <class T>
size_t workspace_bytes(const KernelTable& table, const LinearBackward<T>& call) {
    const BackwardWork<T> work = work_of(table, call);
    Arena arena(nullptr);
    lay_out_part(work, call, arena);
    return arena.used() * size_t(work.threads);
}

template <class T>
void run(const KernelTable& table, const LinearBackward<T>& call, void* workspace) {
    const BackwardWork<T> work = work_of(table, call);
    Arena arena(nullptr);
    lay_out_part(work, call, arena);
    on_threads(work.threads, [&](int thread, int threads) {
        // A team may be smaller than it was asked to be.
        for (int part = thread; part < work.threads; part += threads)
            run_part(work, call, part, static_cast<char*>(workspace) + size_t(part) * arena.used());
    });
}

#define FASTGRU_LINEAR(T)                                                          \
    template double call_microseconds(const LinearBackward<T>&);                   \
    template size_t workspace_bytes(const KernelTable&, const LinearBackward<T>&); \
    template void run(const KernelTable&, const LinearBackward<T>&, void*);
FASTGRU_LINEAR(float)
FASTGRU_LINEAR(double)

}  // namespace fastgru
