// The forward pass: a loop over layers; in each, threads take groups of batch rows through the whole sequence, or
// share the hidden units of every row. Or they share the layers (forward_stack.h).
#include "host/forward_stack.h"
#include "host/one_step.h"

namespace fastgru {

namespace {

// Thresholds of has_wide_panels: for one row, and for more. A shift or a mask widens bfloat16, which float16 needs
// two instructions for.
template <class S>
constexpr ptrdiff_t kNearPanelBytesOfRow = (__is_same(S, BFloat16) ? 40 : 128) * 1024;
constexpr ptrdiff_t kNearPanelBytes = 1 << 20, kRowsForWidePanels = 4, kStepsForWidePanels = 4;

template <class Layer>
void run_group(Layer& layer, ptrdiff_t direction, ptrdiff_t index, int thread, int threads) {
    typename Layer::Run run = group_of(layer, direction, index, thread, threads);
    while (run_chunk(layer, run, direction, thread)) continue;
    if (!layer.splits_columns() || thread == 0) copy_last_states(layer, run, direction);
}

template <class Layer>
void run_groups(Layer& layer, int thread, int threads) {
    const ptrdiff_t directions = layer.directions(), items = layer.plan.groups * directions;
    // Rows are longest first, so the queue hands the long groups out before the short ones.
    const auto next = [&](ptrdiff_t item) { return layer.splits_columns() ? item + 1 : layer.queue[0].take(); };
    for (ptrdiff_t item = next(-1); item < items; item = next(item))
        run_group(layer, item % directions, item / directions, thread, threads);
}

// As many hidden blocks of a chunk's projection as other threads leave to this one; `place` is whose scratch it
// goes to, and whose queue they draw from.
template <class Layer>
void project_blocks(Layer& layer, const typename Layer::Run& run, int place, int thread) {
    const ptrdiff_t values = run.projected_rows * 3 * layer.kernels.lanes;
    read_input(layer, run, thread);
    WorkQueue& queue = layer.queue[place];
    for (ptrdiff_t block = queue.take(); block < layer.blocks(); block = queue.take())
        project(layer, run, 0, thread, block, block + 1, layer.memory.scratch[place].projected + block * values);
}

// Too few rows to share, and steps too short to share: thread 0 goes through the steps, and while it is in one
// chunk the others project the inputs of the next, block by block; it helps when it is done before them. In round
// -1 all project chunk 0; in round 0 chunk 0 runs while chunk 1 is projected, and so on.
template <class Layer>
void run_pipelined(Layer& layer, int thread, int threads) {
    typename Layer::Run run = group_of(layer, 0, 0, 0, 1), ahead = run;
    const ptrdiff_t chunk_rows = layer.plan.chunk_rows;
    for (int chunk = -1; chunk < 0 || run.step_begin < run.step_end; ++chunk) {
        if (thread == 0 && chunk >= 0) {
            run.projected = layer.memory.scratch[chunk % 2].projected;
            run_steps(layer, run);
            layer.queue[chunk % 2].next = 0;  // of the chunk after the next
        }
        if (advance(ahead, chunk_rows)) project_blocks(layer, ahead, (chunk + 1) % 2, thread);
        layer.barrier.wait(threads);
        advance(run, chunk_rows);
    }
    if (thread == 0) copy_last_states(layer, run, 0);
}

// What one thread does of a layer.
template <class T, class S, class P>
void work(ForwardLayer<T, S, P>& layer, int thread, int threads) {
    if constexpr (!ForwardLayer<T, S, P>::kHasInt8) {
        if (is_one_step(layer)) return run_one_step(layer, thread, threads);
    }
    const Forward<T, S>& call = layer.call;
    if (layer.layer + 1 == call.spec.num_layers) {
        const Share share(call.batch.rows, thread, threads);
        clear_padding(call.batch, layer.output, layer.directions() * layer.hidden_size(), share.begin, share.end);
    }
    if constexpr (!ForwardLayer<T, S, P>::kHasInt8) {  // such weights come packed
        if (layer.makes_panels()) {
            make_panels(layer, thread, threads);
            layer.barrier.wait(threads);
        }
    }
    if (layer.plan.partition == Partition::ahead) return run_pipelined(layer, thread, threads);
    run_groups(layer, thread, threads);
}

// Where a layer's output goes: to the caller, to what the backward pass reads, or to memory of the call.
template <class T, class S, class P>
Sequence<T> output_of(const Forward<T, S>& call, const ForwardMemory<T, P>& memory, ptrdiff_t layer) {
    if (layer + 1 == call.spec.num_layers) return call.output;
    T* inner = call.saved == nullptr
                   ? memory.between[memory.runs_at_once() ? layer : layer % 2]
                   : saved_output(call.saved, call.spec, memory.steps.rows(), layer, call.recomputes);
    return flat_sequence(inner, call.spec.num_directions * call.spec.hidden_size);
}

template <class T, class S, class P>
ForwardLayer<T, S, P> layer_of(const KernelTable& table, const Forward<T, S>& call,
                               const ForwardMemory<T, P>& memory, ptrdiff_t i) {
    const ForwardKernels<T, P>& kernels = kernels_of<P>(table);
    const LayerShape shape = layer_shape(kernels, call, i);
    ForwardLayer<T, S, P> layer{
        .table = table,
        .kernels = kernels,
        .call = call,
        .memory = memory,
        .plan = memory.runs_at_once() ? plan_of_layer(memory.at_once, shape) : plan_forward(shape),
        .layer = i,
        .input = call.input,
        .output = output_of(call, memory, i),
        .packs = {},
        .barrier = {},
        .queue = {},
    };
    if (i > 0) {
        const Sequence<T> before = output_of(call, memory, i - 1);
        layer.input = before.template with<const T>(before.data);
    }
    for (ptrdiff_t d = 0; d < layer.directions(); ++d)
        layer.packs[d] = layer.makes_panels() ? memory.pack[memory.runs_at_once() ? i : d]
                                              : find_pack(kernels, call.spec, layer.cell(d), call.packed);
    return layer;
}

// Kernels that widen weights again for every step read half as much, and compute for longer. That pays for few rows
// while their weights come from a far cache, for one row from a near one too; and where there are too few steps to
// make other panels for.
template <class T, Half S>
bool has_wide_panels(const KernelTable& table, const Forward<T, S>& call) {
    if (!call.spec.reset_after) return true;
    if (call.batch.longest() < kStepsForWidePanels) return false;
    const ptrdiff_t H = call.spec.hidden_size, bytes = 3 * H * H * ptrdiff_t(sizeof(T));
    return !kernels_of<S>(table).widens_fast || call.batch.rows >= kRowsForWidePanels ||
           bytes <= (call.batch.rows == 1 ? kNearPanelBytesOfRow<S> : kNearPanelBytes);
}

// The same call with weights that were packed as floats.
template <Half S>
Forward<float> with_packed_floats(const Forward<float, S>& call) {
    Forward<float> wide{};
    wide.spec = call.spec;
    wide.batch = call.batch;
    wide.input = call.input;
    wide.h_0 = call.h_0;
    wide.resets = call.resets;
    wide.output = call.output;
    wide.h_n = call.h_n;
    wide.saved = call.saved;
    wide.recomputes = call.recomputes;
    wide.threads = call.threads;
    wide.is_awake = call.is_awake;
    wide.packed = call.packed;
    wide.partition = call.partition;
    return wide;
}

template <class P, class T, class S>
void run_at_once(const KernelTable& table, const Forward<T, S>& call, const ForwardMemory<T, P>& memory) {
    Stack<ForwardLayer<T, S, P>> stack{.count = call.spec.num_layers, .layers = {}, .progress = {}};
    for (ptrdiff_t i = 0; i < stack.count; ++i) stack.layers[i].emplace(layer_of(table, call, memory, i));
    on_threads(memory.at_once.threads, [&](int thread, int threads) { run_layers(stack, thread, threads); });
}

template <class P, class T, class S>
void run_with_panels(const KernelTable& table, const Forward<T, S>& call, void* workspace) {
    Arena arena(workspace);
    const ForwardKernels<T, P>& kernels = kernels_of<P>(table);
    const ForwardMemory<T, P> memory = lay_out<P>(kernels, call, arena);
    memset(memory.zeros, 0, size_t(call.spec.hidden_size) * sizeof(T));
    if (memory.runs_at_once()) return run_at_once(table, call, memory);
    for (ptrdiff_t i = 0; i < call.spec.num_layers; ++i) {
        ForwardLayer<T, S, P> layer = layer_of(table, call, memory, i);
        on_threads(layer.plan.threads, [&](int thread, int threads) { work(layer, thread, threads); });
    }
}

}  // namespace

// More than any machine has memory for, and few enough that their bytes can still be counted.
constexpr size_t kMostValues = size_t(1) << 59;

template <class T>
size_t saved_values(const Spec& spec, ptrdiff_t slots, ptrdiff_t total, bool recomputes) {
    const ptrdiff_t gates = recomputes ? 0 : 4 * spec.cells();
    const ptrdiff_t per_row = gates + (spec.num_layers - 1) * spec.num_directions;
    const ptrdiff_t per_slot = Half<T> ? spec.num_directions : 0;
    const double about =
        (double(total) * double(per_row) + double(slots) * double(per_slot)) * double(spec.hidden_size);
    if (about > double(kMostValues)) return kMostValues;  // instead of a number that went past the end of its type
    return size_t((total * per_row + slots * per_slot) * spec.hidden_size);
}

template <class T, class S>
size_t workspace_bytes(const KernelTable& table, const Forward<T, S>& call) {
    Arena arena(nullptr);
    if constexpr (Half<S>) {
        if (call.packed != nullptr && packs_floats<S>(table, call.spec))
            return workspace_bytes(table, with_packed_floats(call));
        if (has_wide_panels(table, call)) {
            lay_out<T>(kernels_of<T>(table), call, arena);
            return arena.used();
        }
    }
    lay_out<S>(kernels_of<S>(table), call, arena);
    return arena.used();
}

template <class T, class S>
void run(const KernelTable& table, const Forward<T, S>& call, void* workspace) {
    if constexpr (Half<S>) {
        if (call.packed != nullptr && packs_floats<S>(table, call.spec))
            return run(table, with_packed_floats(call), workspace);
        if (has_wide_panels(table, call)) return run_with_panels<T>(table, call, workspace);
    }
    run_with_panels<S>(table, call, workspace);
}

#define FASTGRU_STORED(T, S)                                                   \
    template size_t workspace_bytes(const KernelTable&, const Forward<T, S>&); \
    template void run(const KernelTable&, const Forward<T, S>&, void*);
FASTGRU_STORED(float, float)
FASTGRU_STORED(double, double)
FASTGRU_STORED(float, BFloat16)
FASTGRU_STORED(float, Float16)
FASTGRU_STORED(float, Int8)
template size_t saved_values<float>(const Spec&, ptrdiff_t, ptrdiff_t, bool);
template size_t saved_values<double>(const Spec&, ptrdiff_t, ptrdiff_t, bool);
template size_t saved_values<BFloat16>(const Spec&, ptrdiff_t, ptrdiff_t, bool);
template size_t saved_values<Float16>(const Spec&, ptrdiff_t, ptrdiff_t, bool);

}  // namespace fastgru
