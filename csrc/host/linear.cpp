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
constexpr ptrdiff_t kTileRowsAbout = 8;

template <class T>
struct LinearWork {
    const RowKernels<T>& kernels;
    const Linear<T>& call;
    EqualParts panels;  // of columns
    int threads;
    Division division;
    T* packed;  // for all threads, or null where nothing is packed
    Barrier barrier;

    ptrdiff_t panel_count() const { return call.out_features > 0 ? panels.parts : 0; }
    ptrdiff_t vectors() const { return ceil_div(call.out_features, kernels.lanes); }
    bool uses_weights_as_they_are() const { return call.packed == nullptr && call.rows <= kLinearRows<T>; }
    // Values of the panels [begin, end).
    ptrdiff_t values(ptrdiff_t begin, ptrdiff_t end) const {
        const ptrdiff_t first = begin < panels.parts ? panels[begin].begin : vectors();
        const ptrdiff_t last = end < panels.parts ? panels[end].begin : vectors();
        return (last - first) * kernels.lanes * call.in_features;
    }
};

template <class T>
LinearWork<T> work_of(const KernelTable& table, const Linear<T>& call) {
    const RowKernels<T>& kernels = row_kernels<T>(table);
    LinearWork<T> work{.kernels = kernels,
                       .call = call,
                       .panels = linear_panels<T>(call.out_features, kernels.lanes),
                       .threads = threads_for_rows(call_microseconds(call), call.threads, call.is_awake),
                       .division = {1, 1},
                       .packed = nullptr,
                       .barrier = {}};
    const ptrdiff_t columns = work.uses_weights_as_they_are() ? work.vectors() : work.panel_count();
    work.division = work.uses_weights_as_they_are() ? Division{1, work.threads}
                                                    : divided(call.rows, columns, kTileRowsAbout, work.threads);
    return work;
}

// Panels that a thread which has its own packs at a time.
template <class T>
ptrdiff_t panels_together(const LinearWork<T>& work) {
    const ptrdiff_t panel = max(1, work.values(0, 1)) * ptrdiff_t(sizeof(T));
    const ptrdiff_t own = ceil_div(work.panel_count(), work.division.by_columns);
    return work.call.rows > kRowsTogether ? own : min(own, max(1, kNearLinearBytes / panel));
}

template <class T>
ptrdiff_t packed_values(const LinearWork<T>& work) {
    if (work.call.packed != nullptr || work.uses_weights_as_they_are()) return 0;
    if (work.division.by_rows > 1) return work.values(0, work.panel_count());
    return ceil_div(work.values(0, 1) * panels_together(work) * ptrdiff_t(sizeof(T)), ptrdiff_t(kAlignment)) *
           ptrdiff_t(kAlignment / sizeof(T)) * work.threads;
}

template <class T>
LinearRows<T> rows_of(const Linear<T>& call, const T* weight, const Share& rows) {
    return {.rows = rows.end - rows.begin,
            .in_features = call.in_features,
            .out_features = call.out_features,
            .input = call.input.row(rows.begin),
            .input_stride = call.input.stride,
            .weight = weight,
            .bias = call.bias,
            .output = call.output.row(rows.begin),
            .output_stride = call.output.stride,
            .activation = call.activation};
}

// `weight` is where the first panel of all would be.
template <class T>
void use_panels(const LinearWork<T>& work, const T* weight, const Share& rows, ptrdiff_t begin, ptrdiff_t end) {
    EqualParts(rows.begin, rows.end, kRowsTogether).for_each([&](ptrdiff_t row, ptrdiff_t count) {
        work.kernels.linear(rows_of(work.call, weight, {row, row + count}), begin, end);
    });
}

template <class T>
void pack_and_use_panels(const LinearWork<T>& work, int thread) {
    const Share own = work.division.columns(work.panel_count(), thread), all(work.call.rows, 0, 1);
    const ptrdiff_t together = panels_together(work), room = packed_values(work) / work.threads;
    T* packed = work.packed + thread * room;
    for (ptrdiff_t begin = own.begin; begin < own.end; begin += together) {
        const ptrdiff_t end = min(begin + together, own.end);
        T* first = packed - work.values(0, begin);
        work.kernels.pack_linear(work.call.weight, work.call.out_features, work.call.in_features, first, begin,
                                 end);
        use_panels(work, static_cast<const T*>(first), all, begin, end);
    }
}

// Panels that all threads use are packed by all of them first.
template <class T>
bool shares_panels(const LinearWork<T>& work) {
    return work.call.packed == nullptr && !work.uses_weights_as_they_are() && work.division.by_rows > 1;
}

template <class T>
void pack_share(LinearWork<T>& work, int thread, int threads) {
    const Share share(work.panel_count(), thread, threads);
    work.kernels.pack_linear(work.call.weight, work.call.out_features, work.call.in_features, work.packed,
                             share.begin, share.end);
    work.barrier.wait(threads);
}

// One of the parts that the work is divided into.
template <class T>
void run_part(const LinearWork<T>& work, int part) {
    const Linear<T>& call = work.call;
    if (work.uses_weights_as_they_are()) {
        const Share own = work.division.columns(work.vectors(), part);
        return work.kernels.linear_unpacked(rows_of(call, call.weight, {0, call.rows}), own.begin, own.end);
    }
    if (call.packed == nullptr && !shares_panels(work)) return pack_and_use_panels(work, part);
    const T* weight = call.packed == nullptr ? work.packed : static_cast<const T*>(call.packed);
    const Share columns = work.division.columns(work.panel_count(), part);
    use_panels(work, weight, work.division.rows(call.rows, part), columns.begin, columns.end);
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
    return size_t(packed_values(work_of(table, call))) * sizeof(T);
}

template <class T>
void run(const KernelTable& table, const Linear<T>& call, void* workspace) {
    if (call.rows == 0 || call.out_features == 0) return;
    LinearWork<T> work = work_of(table, call);
    work.packed = static_cast<T*>(workspace);
    on_threads(work.threads, [&](int thread, int threads) {
        if (shares_panels(work)) pack_share(work, thread, threads);
        // A team may be smaller than it was asked to be.
        for (int part = thread; part < work.threads; part += threads) run_part(work, part);
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
