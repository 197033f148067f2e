// The gradients of a linear layer, in chunks of rows.
#include "fastgru_rows.h"
#include "host/row_plan.h"
#include "host/workspace.h"

namespace fastgru {

namespace {

// Rows whose vectors are packed at a time: whole pieces of the sums, which stay in the second-level cache panel by
// panel.
constexpr ptrdiff_t kChunkRows = 4 * kSumRows;

// Vectors of a matrix in panels, with those of a chunk one after another.
template <class T>
struct PackedRows {
    const T** row;  // [chunk]
    T* panels;      // [panel][chunk][W][L]
};

template <class T>
struct BackwardWork {
    const Kernels<T>& layer_kernels;
    const RowKernels<T>& kernels;
    const LinearBackward<T>& call;
    PackedRows<T> left, right;
    Barrier barrier;
};

template <class T>
PackedRows<T> lay_out_rows(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t lanes, Arena& arena) {
    return {arena.take<const T*>(rows), arena.take<T>(rows * ceil_div(width, lanes) * lanes)};
}

template <class T>
BackwardWork<T> lay_out(const KernelTable& table, const LinearBackward<T>& call, Arena& arena) {
    const ptrdiff_t rows = call.d_weight == nullptr ? 0 : min(call.rows, kChunkRows);
    const RowKernels<T>& kernels = row_kernels<T>(table);
    return {.layer_kernels = kernels_of<T>(table),
            .kernels = kernels,
            .call = call,
            .left = lay_out_rows<T>(rows, call.out_features, kernels.lanes, arena),
            .right = lay_out_rows<T>(rows, call.in_features, kernels.lanes, arena),
            .barrier = {}};
}

// A share of the rows [begin, begin + rows) of a matrix.
template <class T>
void pack_rows(const BackwardWork<T>& work, const Matrix<const T>& from, ptrdiff_t width, ptrdiff_t begin,
               ptrdiff_t rows, const PackedRows<T>& to, const Share& share) {
    for (ptrdiff_t i = share.begin; i < share.end; ++i) to.row[i] = from.row(begin + i);
    work.layer_kernels.pack_rows({.row = to.row,
                                  .rows = rows,
                                  .K = width,
                                  .packed = to.panels,
                                  .panel_vectors = kPanelVectors,
                                  .begin = share.begin,
                                  .end = share.end},
                                 0, ceil_div(width, work.kernels.lanes));
}

template <class T>
void add_weight_gradient(BackwardWork<T>& work, int thread, int threads) {
    const LinearBackward<T>& call = work.call;
    const Share panels(linear_panels<T>(call.out_features, work.kernels.lanes).parts, thread, threads);
    for (ptrdiff_t begin = 0; begin < max(1, call.rows); begin += kChunkRows) {
        const ptrdiff_t rows = min(kChunkRows, call.rows - begin);
        const Share share(rows, thread, threads);
        pack_rows(work, call.d_output, call.out_features, begin, rows, work.left, share);
        pack_rows(work, call.input, call.in_features, begin, rows, work.right, share);
        work.barrier.wait(threads);
        work.kernels.linear_weight_gradient({.rows = rows,
                                             .in_features = call.in_features,
                                             .out_features = call.out_features,
                                             .left = work.left.panels,
                                             .right = work.right.panels,
                                             .d_weight = call.d_weight,
                                             .adds = begin > 0},
                                            panels.begin, panels.end);
        if (begin + kChunkRows < call.rows) work.barrier.wait(threads);
    }
}

template <class T>
void write_input_gradient(const BackwardWork<T>& work, int thread, int threads) {
    const LinearBackward<T>& call = work.call;
    const ptrdiff_t vectors = ceil_div(call.in_features, work.kernels.lanes);
    const Division division = divided(call.rows, vectors, 1, threads);
    const Share rows = division.rows(call.rows, thread), columns = division.columns(vectors, thread);
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
void write_bias_gradient(const BackwardWork<T>& work, int thread, int threads) {
    const LinearBackward<T>& call = work.call;
    const ptrdiff_t L = work.kernels.lanes;
    const Share vectors(ceil_div(call.out_features, L), thread, threads);
    work.kernels.linear_bias_gradient(call.d_output.data, call.d_output.stride, call.rows, call.d_bias,
                                      vectors.begin * L, min(vectors.end * L, call.out_features), false);
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
    Arena arena(nullptr);
    lay_out(table, call, arena);
    return arena.used();
}

template <class T>
void run(const KernelTable& table, const LinearBackward<T>& call, void* workspace) {
    Arena arena(workspace);
    BackwardWork<T> work = lay_out(table, call, arena);
    on_threads(threads_for_rows(call_microseconds(call), call.threads, call.is_awake),
               [&](int thread, int threads) {
                   if (call.d_input.data != nullptr && call.rows > 0) write_input_gradient(work, thread, threads);
                   if (call.d_bias != nullptr) write_bias_gradient(work, thread, threads);
                   if (call.d_weight != nullptr) add_weight_gradient(work, thread, threads);
               });
}

#define FASTGRU_LINEAR(T)                                                          \
    template double call_microseconds(const LinearBackward<T>&);                   \
    template size_t workspace_bytes(const KernelTable&, const LinearBackward<T>&); \
    template void run(const KernelTable&, const LinearBackward<T>&, void*);
FASTGRU_LINEAR(float)
FASTGRU_LINEAR(double)

}  // namespace fastgru
