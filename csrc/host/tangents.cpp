// Second derivatives of one direction of one layer: weights to panels, then rows to threads.
#include "fastgru.h"
#include "host/plan.h"
#include "host/threads.h"
#include "host/workspace.h"
#include "shared/panels.h"

namespace fastgru {

namespace {

template <class T>
struct ThereMemory {
    T *weight, *d_weight;
};

template <class T>
ThereMemory<T> lay_out(const KernelTable& table, const TangentSteps<T>& call, Arena& arena) {
    const Kernels<T>& kernels = kernels_of<T>(table);
    const ptrdiff_t values = kernels.blocks(call.hidden_size) * call.hidden_size * 3 * kernels.lanes;
    T* weight = arena.take<T>(values);
    return {weight, call.d_weight == nullptr ? nullptr : arena.take<T>(values)};
}

template <class T>
struct BackMemory {
    T *weight, *d_weight, *carry;
    const T** rows;
};

template <class T>
BackMemory<T> lay_out(const KernelTable& table, const TangentBackSteps<T>& call, Arena& arena) {
    const Kernels<T>& kernels = kernels_of<T>(table);
    const ptrdiff_t H = call.there->hidden_size, L = kernels.lanes, blocks = kernels.blocks(H);
    const ptrdiff_t values = blocks * L * 3 * H;
    T* weight = arena.take<T>(values);
    T* d_weight = call.d_weight == nullptr ? nullptr : arena.take<T>(values);
    return {
        .weight = weight,
        .d_weight = d_weight,
        .carry = arena.take<T>(call.there->rows * 2 * blocks * L),
        .rows = arena.take<const T*>(3 * H),
    };
}

template <class Call>
size_t bytes_of(const KernelTable& table, const Call& call) {
    Arena arena(nullptr);
    lay_out(table, call, arena);
    return arena.used() + 64;
}

// visit(first row, end of rows), of every thread.
template <class Visit>
void share_rows(ptrdiff_t rows, int threads, const Visit& visit) {
    on_threads(threads, [&](int thread, int count) {
        const Share share(ptrdiff_t(rows), thread, count);
        if (share.begin < share.end) visit(share.begin, share.end);
    });
}

}  // namespace

template <class T>
size_t workspace_bytes(const KernelTable& table, const TangentSteps<T>& call) {
    return bytes_of(table, call);
}

template <class T>
void run(const KernelTable& table, TangentSteps<T> call, int threads, void* workspace) {
    const Kernels<T>& kernels = kernels_of<T>(table);
    const ptrdiff_t H = call.hidden_size, blocks = kernels.blocks(H);
    Arena arena(workspace);
    const ThereMemory<T> memory = lay_out(table, call, arena);
    kernels.pack_gates(call.weight, H, H, memory.weight, 0, blocks);
    if (call.d_weight != nullptr) kernels.pack_gates(call.d_weight, H, H, memory.d_weight, 0, blocks);
    call.weight = memory.weight, call.d_weight = memory.d_weight;
    share_rows(call.rows, threads, [&](ptrdiff_t begin, ptrdiff_t end) {
        TangentSteps<T> own = call;
        own.row_begin = begin, own.row_end = end;
        kernels.tangent_steps(own);
    });
}

template <class T>
size_t workspace_bytes(const KernelTable& table, const TangentBackSteps<T>& call) {
    return bytes_of(table, call);
}

template <class T>
void run(const KernelTable& table, TangentBackSteps<T> call, int threads, void* workspace) {
    const Kernels<T>& kernels = kernels_of<T>(table);
    const ptrdiff_t H = call.there->hidden_size;
    Arena arena(workspace);
    const BackMemory<T> memory = lay_out(table, call, arena);
    const auto pack = [&](const T* weight, T* to) {
        for (ptrdiff_t i = 0; i < 3 * H; ++i) memory.rows[i] = weight + i * H;
        kernels.pack_rows({.row = memory.rows,
                           .rows = 3 * H,
                           .K = H,
                           .packed = to,
                           .panel_vectors = kPanelVectors,
                           .begin = 0,
                           .end = 3 * H},
                          0, kernels.blocks(H));
    };
    pack(call.weight, memory.weight);
    if (call.d_weight != nullptr) pack(call.d_weight, memory.d_weight);
    call.weight = memory.weight, call.d_weight = memory.d_weight, call.carry = memory.carry;
    share_rows(call.there->rows, threads, [&](ptrdiff_t begin, ptrdiff_t end) {
        TangentSteps<T> there = *call.there;
        there.row_begin = begin, there.row_end = end;
        TangentBackSteps<T> own = call;
        own.there = &there;
        kernels.tangent_back_steps(own);
    });
}

#define FASTGRU_TANGENTS(T)                                                             \
    template size_t workspace_bytes<T>(const KernelTable&, const TangentSteps<T>&);     \
    template void run<T>(const KernelTable&, TangentSteps<T>, int, void*);              \
    template size_t workspace_bytes<T>(const KernelTable&, const TangentBackSteps<T>&); \
    template void run<T>(const KernelTable&, TangentBackSteps<T>, int, void*);
FASTGRU_TANGENTS(float)
FASTGRU_TANGENTS(double)

}  // namespace fastgru
