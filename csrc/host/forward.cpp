// The forward pass: a loop over layers; in each, threads take groups of batch rows through the whole sequence, or
// share the hidden units of every row.
#include "host/packed_cell.h"
#include "host/rows.h"

namespace fastgru {

namespace {

// For has_wide_panels.
constexpr ptrdiff_t kNearPanelBytes = 1 << 20, kRowsForWidePanels = 4, kStepsForWidePanels = 4;

template <class T>
struct ThreadScratch {
    T* projected;  // [Hb][chunk rows][3][L]
    const T** input_rows;
    const T** previous;
    T** next;
};

// Everything one call keeps in its workspace.
template <class T, class P>
struct ForwardMemory {
    Steps steps;
    T* zeros;                // [H]
    CellPack<T, P> pack[2];  // by direction, the same for every layer; not when the caller's are used
    T* between[2];           // [N][D H]: outputs of inner layers when nothing is saved
    ThreadScratch<T>* scratch;
};

// Whether panels (P) are made for the call, or used as the caller has packed them.
template <class P, class T, class S>
bool makes_panels(const Forward<T, S>& call) {
    return call.packed == nullptr || sizeof(P) != sizeof(S);
}

template <class P, class T, class S>
ForwardMemory<T, P> lay_out(const ForwardKernels<T, P>& kernels, const Forward<T, S>& call, Arena& arena) {
    const Spec& spec = call.spec;
    const ptrdiff_t H = spec.hidden_size, L = kernels.lanes, blocks = kernels.blocks(H);
    ForwardMemory<T, P> memory{};
    memory.steps = lay_out_steps(call.batch, arena);
    memory.zeros = arena.take<T>(H);
    const ptrdiff_t width = max(spec.width(0), spec.width(spec.num_layers - 1));
    for (ptrdiff_t d = 0; d < spec.num_directions && makes_panels<P>(call); ++d)
        memory.pack[d] = lay_out_pack(kernels, width, H, arena);
    const bool keeps_inner = call.saved == nullptr && spec.num_layers > 1;
    for (T*& between : memory.between)
        between = keeps_inner ? arena.take<T>(call.batch.total() * spec.num_directions * H) : nullptr;
    const ForwardPlan plan = plan_forward(layer_shape(kernels, call, 0));
    const ForwardPlan inner = plan_forward(layer_shape(kernels, call, spec.num_layers - 1));
    const ptrdiff_t rows = max(max(plan.group_rows, inner.group_rows), kSingleStepRows);
    const ptrdiff_t chunk = max(max(plan.chunk_rows, inner.chunk_rows), kSingleStepRows);
    const int threads = int(max(plan.threads, inner.threads));
    memory.scratch = arena.take<ThreadScratch<T>>(threads);
    for (int i = 0; i < threads; ++i) {
        const ThreadScratch<T> scratch{
            .projected = arena.take<T>(blocks * chunk * 3 * L),
            .input_rows = arena.take<const T*>(chunk),
            .previous = arena.take<const T*>(rows),
            .next = arena.take<T*>(rows),
        };
        if (memory.scratch != nullptr) memory.scratch[i] = scratch;
    }
    return memory;
}

// One layer of a call, as its threads see it.
template <class T, class S, class P>
struct ForwardLayer {
    using Run = ForwardSteps<T, P>;

    const KernelTable& table;
    const ForwardKernels<T, P>& kernels;
    const Forward<T, S>& call;
    const ForwardMemory<T, P>& memory;
    ForwardPlan plan;
    ptrdiff_t layer;
    Sequence<const T> input;
    Sequence<T> output;
    CellPack<T, P> packs[2];  // by direction
    Barrier barrier;
    WorkQueue queue[2];

    bool splits_columns() const { return plan.partition == Partition::columns; }
    ptrdiff_t hidden_size() const { return call.spec.hidden_size; }
    ptrdiff_t blocks() const { return kernels.blocks(hidden_size()); }

    void pack(int thread, int threads) const {
        const Share share(blocks(), thread, threads);
        const ptrdiff_t width = call.spec.width(layer), H = hidden_size();
        for (ptrdiff_t d = 0; d < call.spec.num_directions; ++d) {
            const ptrdiff_t cell = layer * call.spec.num_directions + d;
            if (call.packed == nullptr)
                pack_cell(kernels_of<S>(table), call.cells[cell], width, H, packs[d], share);
            else if constexpr (sizeof(P) != sizeof(S))
                widen_pack(kernels_of<S>(table),
                           find_pack<T, S>(kernels_of<S>(table), call.spec, cell, call.packed), width, H, packs[d],
                           share);
        }
    }

    Run group(ptrdiff_t direction, ptrdiff_t group, int thread, int threads) {
        const ptrdiff_t H = hidden_size(), cell = layer * call.spec.num_directions + direction;
        const Share columns(blocks(), splits_columns() ? thread : 0, splits_columns() ? threads : 1);
        Run run{};
        run.steps = &memory.steps;
        run.is_reverse = direction == 1;
        run.row_begin = dividing_row(memory.steps, 0, memory.steps.count, group, plan.groups);
        run.row_end = dividing_row(memory.steps, 0, memory.steps.count, group + 1, plan.groups);
        run.panel_begin = columns.begin;
        run.panel_end = columns.end;
        run.hidden_size = H;
        run.weight_hh = packs[direction].weight_hh;
        run.bias_hn = packs[direction].bias_hn;
        run.projected = memory.scratch[thread].projected;
        run.h_0 = call.h_0 == nullptr ? memory.zeros : call.h_0 + cell * call.batch.rows * H;
        run.h_0_stride = call.h_0 == nullptr ? 0 : H;
        run.resets = resets_of_cell(call.resets, cell, call.batch.rows, H, memory.zeros);
        run.output = output;
        run.output.data += direction * H;
        run.saved = call.saved == nullptr || call.recomputes
                        ? nullptr
                        : saved_gates(call.saved, call.spec, memory.steps.rows(), cell);
        run.previous = memory.scratch[thread].previous;
        run.next = memory.scratch[thread].next;
        run.barrier = &barrier;
        run.threads = splits_columns() ? threads : 1;
        return run;
    }

    ptrdiff_t time(const Run& run, ptrdiff_t step) const {
        return run.is_reverse ? memory.steps.count - 1 - step : step;
    }

    // Rows of the run's group alive at time t.
    ptrdiff_t active(const Run& run, ptrdiff_t t) const {
        return max(0, min(memory.steps.active(t), run.row_end) - run.row_begin);
    }

    // The next chunk of a run: as many steps, at least one, as there is room for. False when none are left.
    bool advance(Run& run) const {
        run.step_begin = run.step_end;
        run.projected_rows = 0;
        for (; run.step_end < memory.steps.count; ++run.step_end) {
            const ptrdiff_t rows = active(run, time(run, run.step_end));
            if (run.projected_rows + rows > plan.chunk_rows) break;
            run.projected_rows += rows;
        }
        return run.step_begin < run.step_end;
    }

    // The rows of x that a chunk reads, in the order in which they are processed.
    void collect_input(const Run& run, const T** rows) const {
        for (ptrdiff_t s = run.step_begin; s < run.step_end; ++s) {
            const ptrdiff_t t = time(run, s);
            for (ptrdiff_t b = 0; b < active(run, t); ++b) *rows++ = input.at(memory.steps, t, run.row_begin + b);
        }
    }

    void copy_last_states(const Run& run, ptrdiff_t cell) const {
        const Steps& steps = memory.steps;
        const size_t bytes = size_t(hidden_size()) * sizeof(T);
        ptrdiff_t t = steps.count - 1;
        for (ptrdiff_t b = run.row_begin; b < run.row_end; ++b) {
            while (!run.is_reverse && t > 0 && b >= steps.active(t)) --t;
            const ptrdiff_t last = run.is_reverse ? 0 : t;
            const T* state =
                b < steps.active(last) ? run.output.at(steps, last, b) : run.h_0 + steps.place(b) * run.h_0_stride;
            memcpy(call.h_n + (cell * steps.batch + steps.place(b)) * hidden_size(), state, bytes);
        }
    }

    void run_group(ptrdiff_t direction, ptrdiff_t index, int thread, int threads) {
        Run run = group(direction, index, thread, threads);
        const T** rows = memory.scratch[thread].input_rows;
        const CellPack<T, P>& pack = packs[direction];
        while (advance(run)) {
            collect_input(run, rows);
            kernels.project(rows, run.projected_rows, call.spec.width(layer), pack.weight_ih, pack.bias,
                            run.panel_begin, run.panel_end, memory.scratch[thread].projected);
            kernels.forward_steps(run);
        }
        if (!splits_columns() || thread == 0) copy_last_states(run, layer * call.spec.num_directions + direction);
    }

    // Too few rows to share, and steps too short to share: thread 0 goes through the steps, and while it is in one
    // chunk the others project the inputs of the next, block by block; it helps when it is done before them.
    void run_pipelined(int thread, int threads) {
        Run run = group(0, 0, 0, 1), ahead = run;
        const T** rows = memory.scratch[thread].input_rows;
        for (int chunk = -1; chunk < 0 || run.step_begin < run.step_end; ++chunk) {
            if (thread == 0 && chunk >= 0) {
                run.projected = memory.scratch[chunk % 2].projected;
                kernels.forward_steps(run);
                queue[chunk % 2].next = 0;  // of the chunk after the next
            }
            if (advance(ahead)) project_blocks(ahead, (chunk + 1) % 2, rows);
            barrier.wait(threads);
            advance(run);
        }
        if (thread == 0) copy_last_states(run, layer);
    }

    // As many hidden blocks of a chunk's projection as other threads leave to this one.
    void project_blocks(const Run& run, int place, const T** rows) {
        const ptrdiff_t width = call.spec.width(layer), values = 3 * kernels.lanes;
        collect_input(run, rows);
        const CellPack<T, P>& pack = packs[0];
        for (ptrdiff_t block = queue[place].take(); block < blocks(); block = queue[place].take())
            kernels.project(rows, run.projected_rows, width, pack.weight_ih, pack.bias, block, block + 1,
                            memory.scratch[place].projected + block * run.projected_rows * values);
    }

    bool is_single_step() const {
        return call.packed == nullptr && call.batch.steps == 1 && call.batch.rows <= kSingleStepRows &&
               call.batch.lengths == nullptr;
    }

    void run_single_step(ptrdiff_t direction, int thread, int threads) {
        const Run run = group(direction, 0, thread, threads);
        const Cell<S>& cell = call.cells[layer * call.spec.num_directions + direction];
        const Share share(blocks(), thread, threads);
        const T** rows = memory.scratch[thread].input_rows;
        for (ptrdiff_t b = 0; b < call.batch.rows; ++b) {
            rows[b] = input.at(memory.steps, 0, b);
            run.previous[b] = state_before<T>(run, 0, b);
            run.next[b] = run.output.at(memory.steps, 0, b);
        }
        kernels_of<S>(table).single_step({
            .rows = call.batch.rows,
            .input_size = call.spec.width(layer),
            .hidden_size = hidden_size(),
            .weight_ih = cell.weight_ih,
            .weight_hh = cell.weight_hh,
            .bias_ih = cell.bias_ih,
            .bias_hh = cell.bias_hh,
            .input = rows,
            .previous = run.previous,
            .next = run.next,
            .saved = run.saved,
            .begin = share.begin,
            .end = share.end,
        });
    }

    void run_single_steps(int thread, int threads) {
        for (ptrdiff_t d = 0; d < call.spec.num_directions; ++d) run_single_step(d, thread, threads);
        barrier.wait(threads);
        if (thread != 0) return;
        for (ptrdiff_t d = 0; d < call.spec.num_directions; ++d) {
            Run run = group(d, 0, 0, 1);
            run.row_end = call.batch.rows;  // here threads share units, whatever the plan has them share
            copy_last_states(run, layer * call.spec.num_directions + d);
        }
    }

    void work(int thread, int threads) {
        if (is_single_step()) return run_single_steps(thread, threads);
        if (layer + 1 == call.spec.num_layers) {
            const Share share(call.batch.rows, thread, threads);
            clear_padding(call.batch, output, call.spec.num_directions * hidden_size(), share.begin, share.end);
        }
        if (makes_panels<P>(call)) {
            pack(thread, threads);
            barrier.wait(threads);
        }
        if (plan.partition == Partition::ahead) return run_pipelined(thread, threads);
        const ptrdiff_t items = plan.groups * call.spec.num_directions;
        // Rows are longest first, so the queue hands the long groups out before the short ones.
        for (ptrdiff_t item = splits_columns() ? 0 : queue[0].take(); item < items;
             item = splits_columns() ? item + 1 : queue[0].take()) {
            run_group(item % call.spec.num_directions, item / call.spec.num_directions, thread, threads);
        }
    }
};

// Kernels that widen weights again for every step read half as much, and compute for longer. That pays while few
// rows use what comes from a far cache, and where there are too few steps to make other panels for.
template <class T, class S>
bool has_wide_panels(const Forward<T, S>& call) {
    const ptrdiff_t H = call.spec.hidden_size, bytes = 3 * H * H * ptrdiff_t(sizeof(T));
    return sizeof(T) != sizeof(S) && call.batch.longest() >= kStepsForWidePanels &&
           (bytes <= kNearPanelBytes || call.batch.rows >= kRowsForWidePanels);
}

template <class P, class T, class S>
void run_with_panels(const KernelTable& table, const Forward<T, S>& call, void* workspace) {
    Arena arena(workspace);
    const ForwardKernels<T, P>& kernels = kernels_of<P>(table);
    const ForwardMemory<T, P> memory = lay_out<P>(kernels, call, arena);
    const ptrdiff_t features = call.spec.num_directions * call.spec.hidden_size;
    memset(memory.zeros, 0, size_t(call.spec.hidden_size) * sizeof(T));
    Sequence<const T> input = call.input;
    for (ptrdiff_t layer = 0; layer < call.spec.num_layers; ++layer) {
        Sequence<T> output = call.output;
        if (layer + 1 < call.spec.num_layers) {
            T* inner = call.saved == nullptr
                           ? memory.between[layer % 2]
                           : saved_output(call.saved, call.spec, memory.steps.rows(), layer, call.recomputes);
            output = flat_sequence(inner, features);
        }
        const ForwardPlan plan = plan_forward(layer_shape(kernels, call, layer));
        ForwardLayer<T, S, P> stage{
            .table = table,
            .kernels = kernels,
            .call = call,
            .memory = memory,
            .plan = plan,
            .layer = layer,
            .input = input,
            .output = output,
            .packs = {},
            .barrier = {},
            .queue = {},
        };
        for (ptrdiff_t d = 0; d < call.spec.num_directions; ++d)
            stage.packs[d] = makes_panels<P>(call)
                                 ? memory.pack[d]
                                 : find_pack(kernels, call.spec, layer * call.spec.num_directions + d, call.packed);
        on_threads(plan.threads, [&](int thread, int threads) { stage.work(thread, threads); });
        input = output.template with<const T>(output.data);
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
    if (has_wide_panels(call))
        lay_out<T>(kernels_of<T>(table), call, arena);
    else
        lay_out<S>(kernels_of<S>(table), call, arena);
    return arena.used();
}

template <class T, class S>
void run(const KernelTable& table, const Forward<T, S>& call, void* workspace) {
    if (has_wide_panels(call))
        run_with_panels<T>(table, call, workspace);
    else
        run_with_panels<S>(table, call, workspace);
}

template <class S>
size_t packed_bytes(const KernelTable& table, const Spec& spec) {
    Arena arena(nullptr);
    for (ptrdiff_t cell = 0; cell < spec.cells(); ++cell)
        lay_out_pack(kernels_of<S>(table), spec.width(cell / spec.num_directions), spec.hidden_size, arena);
    return arena.used();
}

template <class S>
void pack(const KernelTable& table, const Spec& spec, const Cell<S>* cells, void* packed) {
    const auto& kernels = kernels_of<S>(table);
    for (ptrdiff_t cell = 0; cell < spec.cells(); ++cell)
        pack_cell(kernels, cells[cell], spec.width(cell / spec.num_directions), spec.hidden_size,
                  find_pack(kernels, spec, cell, packed), Share(kernels.blocks(spec.hidden_size), 0, 1));
}

#define FASTGRU_STORED(T, S)                                                    \
    template size_t packed_bytes<S>(const KernelTable&, const Spec&);           \
    template void pack(const KernelTable&, const Spec&, const Cell<S>*, void*); \
    template size_t workspace_bytes(const KernelTable&, const Forward<T, S>&);  \
    template void run(const KernelTable&, const Forward<T, S>&, void*);
FASTGRU_STORED(float, float)
FASTGRU_STORED(double, double)
FASTGRU_STORED(float, BFloat16)
FASTGRU_STORED(float, Float16)
template size_t saved_values<float>(const Spec&, ptrdiff_t, ptrdiff_t, bool);
template size_t saved_values<double>(const Spec&, ptrdiff_t, ptrdiff_t, bool);
template size_t saved_values<BFloat16>(const Spec&, ptrdiff_t, ptrdiff_t, bool);
template size_t saved_values<Float16>(const Spec&, ptrdiff_t, ptrdiff_t, bool);

}  // namespace fastgru
