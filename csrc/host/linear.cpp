// A linear layer: what is packed, and who computes what.
#include "fastgru_rows.h"
#include "host/row_plan.h"
#include "host/workspace.h"

namespace fastgru {

namespace {

// Packed weights that stay in the second-level cache while the rows go by.
constexpr ptrdiff_t kNearLinearBytes = 256 * 1024;
// Rows that are taken together: more would leave that cache while the weights go by.
constexpr ptrdiff_t kRowsTogether = 256;
// Packing a vector of columns takes about as long as the products with so many rows.
constexpr double kRowsOfPacking = 4;

template <class T>
struct LinearWork {
    const RowKernels<T>& kernels;
    int threads;
    Division division;
};

// Few rows use weights as they are.
template <class T>
bool packs(const Linear<T>& call) {
    return call.packed == nullptr && call.rows > kLinearRows<T>;
}

template <class T>
LinearWork<T> work_of(const KernelTable& table, const Linear<T>& call) {
    const RowKernels<T>& kernels = row_kernels<T>(table);
    const int threads = threads_for_rows(call_microseconds(call), call.threads, call.is_awake);
    const ptrdiff_t vectors = ceil_div(call.out_features, kernels.lanes);
    const ptrdiff_t columns = call.packed == nullptr ? vectors : ceil_div(vectors, kPanelVectors);
    Division division{1, threads};
    if (call.packed != nullptr || packs(call))
        division = divided(call.rows, 0, columns, call.packed == nullptr ? kRowsOfPacking : 0, threads);
    return {.kernels = kernels, .threads = threads, .division = division};
}

template <class T>
LinearRows<T> rows_of(const Linear<T>& call, const T* weight) {
    return {.rows = call.rows,
            .in_features = call.in_features,
            .out_features = call.out_features,
            .input = call.input.data,
            .input_stride = call.input.stride,
            .weight = weight,
            .bias = call.bias,
            .output = call.output.data,
            .output_stride = call.output.stride,
            .activation = call.activation};
}

// Some rows of a call, and some columns.
template <class T>
Linear<T> rows_of_call(Linear<T> call, const Share& rows) {
    call.rows = rows.end - rows.begin;
    call.input = call.input.from(rows.begin), call.output = call.output.from(rows.begin);
    return call;
}
template <class T>
Linear<T> columns_of_call(Linear<T> call, ptrdiff_t begin, ptrdiff_t end) {
    call.out_features = end - begin;
    call.weight += begin * call.in_features;
    if (call.bias != nullptr) call.bias += begin;
    call.output.data += begin;
    return call;
}

// The panels [begin, end) of weights, of which `weight` is where the first of all would be.
template <class T>
void use_panels(const RowKernels<T>& kernels, const Linear<T>& call, const T* weight, ptrdiff_t begin,
                ptrdiff_t end) {
    EqualParts(0, call.rows, kRowsTogether).for_each([&](ptrdiff_t row, ptrdiff_t count) {
        kernels.linear(rows_of(rows_of_call(call, {row, row + count}), weight), begin, end);
    });
}

// Columns that a thread packs at a time: all of its own where the rows would else have to come again.
template <class T>
ptrdiff_t columns_together(const LinearWork<T>& work, const Linear<T>& call) {
    const ptrdiff_t L = work.kernels.lanes,
                    most = ceil_div(ceil_div(call.out_features, L), work.division.by_columns);
    const ptrdiff_t vector_bytes = max(1, L * call.in_features * ptrdiff_t(sizeof(T)));
    const ptrdiff_t near = max(kPanelVectors, kNearLinearBytes / vector_bytes);
    return L * (ceil_div(call.rows, work.division.by_rows) > kRowsTogether ? most : min(most, near));
}

template <class T>
size_t part_bytes(const LinearWork<T>& work, const Linear<T>& call) {
    return packs(call) ? aligned(size_t(columns_together(work, call) * call.in_features) * sizeof(T)) : 0;
}

// One of the parts that the work is divided into, which has memory of its own.
template <class T>
void run_part(const LinearWork<T>& work, const Linear<T>& all, int part, T* packed) {
    const RowKernels<T>& kernels = work.kernels;
    const ptrdiff_t L = kernels.lanes, vectors = ceil_div(all.out_features, L);
    const Linear<T> call = rows_of_call(all, work.division.rows(all.rows, part));
    if (call.rows == 0) return;
    if (call.packed != nullptr) {
        const Share panels = work.division.columns(linear_panels<T>(all.out_features, L).parts, part);
        return use_panels(kernels, call, static_cast<const T*>(call.packed), panels.begin, panels.end);
    }
    const Share own = work.division.columns(vectors, part);
    if (!packs(all)) return kernels.linear_unpacked(rows_of(call, call.weight), own.begin, own.end);
    const ptrdiff_t together = columns_together(work, all), end = min(own.end * L, all.out_features);
    for (ptrdiff_t begin = own.begin * L; begin < end; begin += together) {
        const Linear<T> near = columns_of_call(call, begin, min(begin + together, end));
        const ptrdiff_t panels = linear_panels<T>(near.out_features, L).parts;
        kernels.pack_linear(near.weight, near.out_features, near.in_features, packed, 0, panels);
        use_panels(kernels, near, static_cast<const T*>(packed), 0, panels);
    }
}

}  // namespace

template <class T>
double call_microseconds(const Linear<T>& call) {
    const double size = double(sizeof(T)) / sizeof(float), least = double(call.rows);
    const double rows = least < kLeastProductRows ? kLeastProductRows : least;
    const double outputs = call.activation.function == Function::none ? 0 : least * double(call.out_features);
    return size * (rows * double(call.in_features * call.out_features) / kProductsPerMicrosecond +
                   outputs / kCurvesPerMicrosecond);
}

template <class T>
size_t packed_linear_bytes(const KernelTable& table, ptrdiff_t in_features, ptrdiff_t out_features) {
    const RowKernels<T>& kernels = row_kernels<T>(table);
    return aligned(size_t(ceil_div(out_features, kernels.lanes) * kernels.lanes * in_features) * sizeof(T));
}

template <class T>
void pack_linear(const KernelTable& table, ptrdiff_t in_features, ptrdiff_t out_features, const T* weight,
                 void* packed) {
    const RowKernels<T>& kernels = row_kernels<T>(table);
    if (out_features > 0)
        kernels.pack_linear(weight, out_features, in_features, static_cast<T*>(packed), 0,
                            linear_panels<T>(out_features, kernels.lanes).parts);
}

template <class T>
size_t workspace_bytes(const KernelTable& table, const Linear<T>& call) {
    const LinearWork<T> work = work_of(table, call);
    return part_bytes(work, call) * size_t(work.threads);
}

template <class T>
void run(const KernelTable& table, const Linear<T>& call, void* workspace) {
    if (call.rows == 0 || call.out_features == 0) return;
    const LinearWork<T> work = work_of(table, call);
    const size_t bytes = part_bytes(work, call);
    on_threads(work.threads, [&](int thread, int threads) {
        // A team may be smaller than it was asked to be.
        for (int part = thread; part < work.threads; part += threads)
            run_part(work, call, part, reinterpret_cast<T*>(static_cast<char*>(workspace) + size_t(part) * bytes));
    });
}

#define FASTGRU_LINEAR(T)                                                                 \
    template double call_microseconds(const Linear<T>&);                                  \
    template size_t packed_linear_bytes<T>(const KernelTable&, ptrdiff_t, ptrdiff_t);     \
    template void pack_linear(const KernelTable&, ptrdiff_t, ptrdiff_t, const T*, void*); \
    template size_t workspace_bytes(const KernelTable&, const Linear<T>&);                \
    template void run(const KernelTable&, const Linear<T>&, void*);
FASTGRU_LINEAR(float)
FASTGRU_LINEAR(double)

}  // namespace fastgru
