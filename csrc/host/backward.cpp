// The backward pass: layers and directions from the top down, each in chunks of steps from the end. In a chunk the
// recurrence runs first and leaves the gradients of the gates, still in cache; then threads share the products that
// need all of them: the gradients of the input, the weights and the biases.
//
// The gradients of the gates are never stored for the whole sequence, and what the forward pass saved is only read,
// so a second backward pass needs nothing special. Chunks depend on sizes alone and every sum has one owner, so
// gradients do not depend on the number of threads.
#include <initializer_list>

#include "host/backward_chunk.h"
#include "host/backward_weights.h"

namespace fastgru {

namespace {

// What no step of the recurrence writes: zeros past the ends, and the gradient of states that were never used.
template <class T>
void fill_in(const BackwardCell<T>& cell, int thread, int threads) {
    const Backward<T>& call = cell.call;
    const Share share(call.batch.rows, thread, threads);
    if (cell.index() == 0 && cell.d_input.data != nullptr)
        clear_padding(call.batch, cell.d_input, call.spec.width(0), share.begin, share.end);
    const ptrdiff_t H = cell.hidden_size();
    const size_t bytes = size_t(H) * sizeof(T);
    for (ptrdiff_t b = share.begin; b < share.end; ++b) {
        const ptrdiff_t at = (cell.index() * call.batch.rows + b) * H;
        if (call.d_reset != nullptr) memset(call.d_reset + at, 0, bytes);
        if (call.d_h_0 == nullptr || call.batch.lengths == nullptr || call.batch.lengths[b] > 0) continue;
        memcpy(call.d_h_0 + at, call.d_h_n == nullptr ? cell.memory.zeros : call.d_h_n + at, bytes);
    }
}

// What one thread does of a cell.
template <class T>
void work(const BackwardCell<T>& cell, Barrier& barrier, int thread, int threads) {
    pack_weights(cell, thread, threads);
    clear_gradients(cell, thread, threads);
    fill_in(cell, thread, threads);
    barrier.wait(threads);
    BackwardSteps<T> run = recurrence_of(cell, barrier);
    for (ptrdiff_t end = cell.memory.steps.count; end > 0; end = run.step_begin) {
        const ptrdiff_t rows = move_to_chunk(cell, run, max(0, end - cell.plan.chunk_steps), end);
        const Share share(rows, thread, threads);
        pack_chunk(cell, run, share);
        if (cell.call.recomputes) recompute(cell, run, share);
        if (!cell.reset_after()) pack_gated(cell, run, share);
        if (cell.call.recomputes) barrier.wait(threads);
        run_chunk(cell, run, thread, threads);
        barrier.wait(threads);
        use_chunk(cell, run, rows, thread, threads);
        if (run.step_begin > 0) keep_last_step(cell, run, thread, threads);
        barrier.wait(threads);
    }
    write_gradients(cell, thread, threads);
}

// True when something at or below this layer is wanted, so that the layer above must hand its input's gradient
// down.
template <class T>
bool wants_below(const Backward<T>& call, ptrdiff_t layer) {
    bool wants = call.d_input.data != nullptr || call.d_h_0 != nullptr || call.d_reset != nullptr;
    for (ptrdiff_t cell = 0; cell < layer * call.spec.num_directions; ++cell) wants |= call.d_cells[cell].any();
    return wants;
}

// The output of a layer, as the forward pass left it.
template <class T>
Sequence<const T> output_of(const Backward<T>& call, ptrdiff_t total, ptrdiff_t layer) {
    if (layer + 1 == call.spec.num_layers) return call.output;
    return flat_sequence(saved_output(call.saved, call.spec, total, layer, call.recomputes),
                         call.spec.num_directions * call.spec.hidden_size);
}

// One layer, from the gradient of its output to that of its input, null data where nobody wants it.
template <class T>
Sequence<const T> run_layer(const KernelTable& table, const Backward<T>& call, ptrdiff_t layer,
                            const Sequence<const T>& d_output, void* workspace) {
    const Kernels<T>& kernels = kernels_of<T>(table);
    const ptrdiff_t features = call.spec.num_directions * call.spec.hidden_size;
    Arena arena(workspace);
    const BackwardMemory<T> memory = lay_out(kernels, call, layer, arena);
    memset(memory.zeros, 0, size_t(call.spec.hidden_size) * sizeof(T));
    const ptrdiff_t total = memory.steps.rows();
    T* d_below = wants_below(call, layer) ? memory.d_between[layer % 2] : nullptr;
    BackwardCell<T> cell{
        .table = table,
        .kernels = kernels,
        .call = call,
        .memory = memory,
        .plan = plan_backward(layer_shape(kernels, call, layer)),
        .layer = layer,
        .direction = 0,
        .input = layer == 0 ? call.input : output_of(call, total, layer - 1),
        .d_output = d_output,
        .output = output_of(call, total, layer),
        .d_input = layer == 0 ? call.d_input : flat_sequence(d_below, features),
    };
    for (; cell.direction < call.spec.num_directions; ++cell.direction) {
        Barrier barrier;
        on_threads(cell.plan.threads, [&](int thread, int threads) { work(cell, barrier, thread, threads); });
    }
    return flat_sequence<const T>(cell.d_input.data, features);
}

}  // namespace

template <class T>
size_t workspace_bytes(const KernelTable& table, const Backward<T>& call) {
    size_t bytes = 0;
    for (const ptrdiff_t layer : {ptrdiff_t(0), call.spec.num_layers - 1}) {
        Arena arena(nullptr);
        lay_out(kernels_of<T>(table), call, layer, arena);
        bytes = arena.used() > bytes ? arena.used() : bytes;
    }
    return bytes;
}

template <class T>
void run(const KernelTable& table, const Backward<T>& call, void* workspace) {
    Sequence<const T> d_output = call.d_output;
    for (ptrdiff_t layer = call.spec.num_layers - 1; layer >= 0; --layer) {
        d_output = run_layer(table, call, layer, d_output, workspace);
        if (d_output.data == nullptr) return;
    }
}

template size_t workspace_bytes(const KernelTable&, const Backward<float>&);
template size_t workspace_bytes(const KernelTable&, const Backward<double>&);
template void run(const KernelTable&, const Backward<float>&, void*);
template void run(const KernelTable&, const Backward<double>&, void*);

}  // namespace fastgru
