// The forward pass: a loop over layers; in each, threads take groups of batch rows through the whole sequence, or
// share the hidden units of every row.
#include "cell_pack.h"
#include "layer.h"

namespace fastgru {

namespace {

template <class T>
struct ThreadScratch {
    T* projected;  // [Hb][chunk rows][3][L]
    const T** input_rows;
    const T** previous;
};

// Everything one call keeps in its workspace.
template <class T>
struct ForwardMemory {
    Steps steps;
    T* zeros;             // [H]
    CellPack<T> pack[2];  // by direction, the same for every layer; not when the caller has packed
    T* between[2];        // [N][D H]: outputs of inner layers when nothing is saved
    ThreadScratch<T>* scratch;
};

template <class T>
ForwardMemory<T> lay_out(const Kernels<T>& kernels, const Forward<T>& call, Arena& arena) {
    const Spec& spec = call.spec;
    const ptrdiff_t H = spec.hidden_size, L = kernels.lanes, blocks = (H + L - 1) / L;
    ForwardMemory<T> memory{};
    memory.steps = lay_out_steps(call.batch, arena);
    memory.zeros = arena.take<T>(H);
    const ptrdiff_t width = spec.num_layers == 1 || spec.width(0) > spec.width(1) ? spec.width(0) : spec.width(1);
    for (ptrdiff_t d = 0; d < spec.num_directions && call.packed == nullptr; ++d)
        memory.pack[d] = lay_out_pack(kernels, width, H, arena);
    const bool keeps_inner = call.saved == nullptr && spec.num_layers > 1;
    for (T*& between : memory.between)
        between = keeps_inner ? arena.take<T>(call.batch.total() * spec.num_directions * H) : nullptr;
    const ForwardPlan plan = plan_forward(layer_shape(kernels, spec, call.batch, 0, call.threads, call.is_awake));
    const ForwardPlan inner =
        plan_forward(layer_shape(kernels, spec, call.batch, spec.num_layers - 1, call.threads, call.is_awake));
    const ptrdiff_t rows = plan.group_rows > inner.group_rows ? plan.group_rows : inner.group_rows;
    const ptrdiff_t chunk = plan.group_rows * plan.chunk_steps > inner.group_rows * inner.chunk_steps
                                ? plan.group_rows * plan.chunk_steps
                                : inner.group_rows * inner.chunk_steps;
    const int threads = plan.threads > inner.threads ? plan.threads : inner.threads;
    memory.scratch = arena.take<ThreadScratch<T>>(threads);
    for (int i = 0; i < threads; ++i) {
        const ThreadScratch<T> scratch{arena.take<T>(blocks * chunk * 3 * L), arena.take<const T*>(chunk),
                                       arena.take<const T*>(rows)};
        if (memory.scratch != nullptr) memory.scratch[i] = scratch;
    }
    return memory;
}

// One layer of a call, as its threads see it.
template <class T>
struct ForwardLayer {
    const Kernels<T>& kernels;
    const Forward<T>& call;
    const ForwardMemory<T>& memory;
    ForwardPlan plan;
    ptrdiff_t layer;
    Sequence<const T> input;
    T* output;
    CellPack<T> packs[2];  // by direction
    Barrier barrier;
    WorkQueue queue[2];

    ptrdiff_t hidden_size() const { return call.spec.hidden_size; }
    ptrdiff_t blocks() const { return (hidden_size() + kernels.lanes - 1) / kernels.lanes; }

    void pack(int thread, int threads) const {
        const Share share(blocks(), thread, threads);
        for (ptrdiff_t d = 0; d < call.spec.num_directions; ++d)
            pack_cell(kernels, call.cells[layer * call.spec.num_directions + d], call.spec.width(layer),
                      hidden_size(), packs[d], share);
    }

    ForwardSteps<T> group(ptrdiff_t direction, ptrdiff_t row, int thread, int threads) {
        const ptrdiff_t H = hidden_size(), cell = layer * call.spec.num_directions + direction;
        const Share columns(blocks(), plan.splits_columns ? thread : 0, plan.splits_columns ? threads : 1);
        ForwardSteps<T> run{};
        run.steps = &memory.steps;
        run.is_reverse = direction == 1;
        run.row_begin = row;
        run.row_end = row + plan.group_rows < call.batch.rows ? row + plan.group_rows : call.batch.rows;
        run.panel_begin = columns.begin;
        run.panel_end = columns.end;
        run.hidden_size = H;
        run.weight_hh = packs[direction].weight_hh;
        run.bias_hn = packs[direction].bias_hn;
        run.projected = memory.scratch[thread].projected;
        run.h_0 = call.h_0 == nullptr ? memory.zeros : call.h_0 + cell * call.batch.rows * H;
        run.h_0_stride = call.h_0 == nullptr ? 0 : H;
        run.output = output + direction * H;
        run.output_stride = call.spec.num_directions * H;
        run.saved = call.saved == nullptr || call.recomputes
                        ? nullptr
                        : saved_gates(call.saved, call.spec, memory.steps.rows(), cell);
        run.previous = memory.scratch[thread].previous;
        run.barrier = &barrier;
        run.threads = plan.splits_columns ? threads : 1;
        return run;
    }

    // The rows of x that a range of steps reads, in the order in which they are processed.
    ptrdiff_t collect_input(const ForwardSteps<T>& run, const T** rows) const {
        const Steps& steps = memory.steps;
        ptrdiff_t count = 0;
        for (ptrdiff_t s = run.step_begin; s < run.step_end; ++s) {
            const ptrdiff_t t = run.is_reverse ? steps.count - 1 - s : s;
            const ptrdiff_t alive = steps.active(t) < run.row_end ? steps.active(t) : run.row_end;
            const T* first = input.step(steps, t);
            for (ptrdiff_t b = run.row_begin; b < alive; ++b) rows[count++] = first + b * input.row_stride;
        }
        return count;
    }

    void copy_last_states(const ForwardSteps<T>& run, ptrdiff_t cell) const {
        const Steps& steps = memory.steps;
        const size_t bytes = size_t(hidden_size()) * sizeof(T);
        ptrdiff_t t = steps.count - 1;
        for (ptrdiff_t b = run.row_begin; b < run.row_end; ++b) {
            while (!run.is_reverse && t > 0 && b >= steps.active(t)) --t;
            const ptrdiff_t last = run.is_reverse ? 0 : t;
            const T* state = run.output + (steps.first_row[last] + b) * run.output_stride;
            memcpy(call.h_n + (cell * steps.batch + b) * hidden_size(), state, bytes);
        }
    }

    void run_group(ptrdiff_t direction, ptrdiff_t row, int thread, int threads) {
        ForwardSteps<T> run = group(direction, row, thread, threads);
        const T** rows = memory.scratch[thread].input_rows;
        const CellPack<T>& pack = packs[direction];
        for (ptrdiff_t chunk = 0; chunk * plan.chunk_steps < memory.steps.count; ++chunk) {
            set_chunk(run, chunk);
            run.projected_rows = collect_input(run, rows);
            kernels.project(rows, run.projected_rows, call.spec.width(layer), pack.weight_ih, pack.bias,
                            run.panel_begin, run.panel_end, memory.scratch[thread].projected);
            kernels.forward_steps(run);
        }
        if (!plan.splits_columns || thread == 0)
            copy_last_states(run, layer * call.spec.num_directions + direction);
    }

    void set_chunk(ForwardSteps<T>& run, ptrdiff_t chunk) const {
        const ptrdiff_t steps = memory.steps.count;
        run.step_begin = chunk * plan.chunk_steps;
        run.step_end = run.step_begin + plan.chunk_steps < steps ? run.step_begin + plan.chunk_steps : steps;
    }

    // Too few rows to share, and steps too short to share: thread 0 goes through the steps, and while it is in one
    // chunk the others project the inputs of the next, block by block; it helps when it is done before them.
    void run_pipelined(int thread, int threads) {
        ForwardSteps<T> run = group(0, 0, 0, 1);
        const T** rows = memory.scratch[thread].input_rows;
        const ptrdiff_t chunks = (memory.steps.count + plan.chunk_steps - 1) / plan.chunk_steps;
        for (ptrdiff_t chunk = -1; chunk < chunks; ++chunk) {
            if (thread == 0 && chunk >= 0) {
                set_chunk(run, chunk);
                run.projected = memory.scratch[chunk % 2].projected;
                run.projected_rows = memory.steps.first_row[run.step_end] - memory.steps.first_row[run.step_begin];
                kernels.forward_steps(run);
                queue[chunk % 2].next = 0;  // of the chunk after the next
            }
            if (chunk + 1 < chunks) project_blocks(run, chunk + 1, rows);
            barrier.wait(threads);
        }
        if (thread == 0) copy_last_states(run, layer);
    }

    // As many hidden blocks of a chunk's projection as other threads leave to this one.
    void project_blocks(ForwardSteps<T> run, ptrdiff_t chunk, const T** rows) {
        const ptrdiff_t width = call.spec.width(layer), values = 3 * kernels.lanes;
        set_chunk(run, chunk);
        const ptrdiff_t count = collect_input(run, rows);
        const CellPack<T>& pack = packs[0];
        for (ptrdiff_t block = queue[chunk % 2].take(); block < blocks(); block = queue[chunk % 2].take())
            kernels.project(rows, count, width, pack.weight_ih, pack.bias, block, block + 1,
                            memory.scratch[chunk % 2].projected + block * count * values);
    }

    bool is_single_step() const {
        return call.packed == nullptr && call.batch.steps == 1 && call.batch.rows <= kSingleStepRows;
    }

    void run_single_step(ptrdiff_t direction, int thread, int threads) {
        const ForwardSteps<T> run = group(direction, 0, thread, threads);
        const Cell<T>& cell = call.cells[layer * call.spec.num_directions + direction];
        const Share share(blocks(), thread, threads);
        kernels.single_step({call.batch.rows, call.spec.width(layer), hidden_size(), cell.weight_ih, cell.weight_hh,
                             cell.bias_ih, cell.bias_hh, input.data, input.row_stride, run.h_0, run.h_0_stride,
                             run.output, run.output_stride, run.saved, share.begin, share.end});
    }

    void run_single_steps(int thread, int threads) {
        for (ptrdiff_t d = 0; d < call.spec.num_directions; ++d) run_single_step(d, thread, threads);
        barrier.wait(threads);
        if (thread != 0) return;
        for (ptrdiff_t d = 0; d < call.spec.num_directions; ++d) {
            ForwardSteps<T> run = group(d, 0, 0, 1);
            run.row_end = call.batch.rows;  // here threads share units, whatever the plan has them share
            copy_last_states(run, layer * call.spec.num_directions + d);
        }
    }

    void work(int thread, int threads) {
        if (is_single_step()) return run_single_steps(thread, threads);
        if (call.packed == nullptr) {
            pack(thread, threads);
            barrier.wait(threads);
        }
        if (plan.is_pipelined) return run_pipelined(thread, threads);
        const ptrdiff_t groups = (call.batch.rows + plan.group_rows - 1) / plan.group_rows;
        const ptrdiff_t items = groups * call.spec.num_directions;
        // Rows are longest first, so the queue hands the long groups out before the short ones.
        for (ptrdiff_t item = plan.splits_columns ? 0 : queue[0].take(); item < items;
             item = plan.splits_columns ? item + 1 : queue[0].take()) {
            run_group(item % call.spec.num_directions, item / call.spec.num_directions * plan.group_rows, thread,
                      threads);
        }
    }
};

}  // namespace

size_t saved_values(const Spec& spec, const Batch& batch, bool recomputes) {
    const ptrdiff_t gates = recomputes ? 0 : 4 * spec.cells();
    const ptrdiff_t per_row = gates + (spec.num_layers - 1) * spec.num_directions;
    return size_t(batch.total() * spec.hidden_size * per_row);
}

template <class T>
size_t workspace_bytes(const KernelTable& table, const Forward<T>& call) {
    Arena arena(nullptr);
    lay_out(kernels_of<T>(table), call, arena);
    return arena.used();
}

template <class T>
void run(const KernelTable& table, const Forward<T>& call, void* workspace) {
    Arena arena(workspace);
    const Kernels<T>& kernels = kernels_of<T>(table);
    const ForwardMemory<T> memory = lay_out(kernels, call, arena);
    const ptrdiff_t features = call.spec.num_directions * call.spec.hidden_size;
    memset(memory.zeros, 0, size_t(call.spec.hidden_size) * sizeof(T));
    Sequence<const T> input = call.input;
    for (ptrdiff_t layer = 0; layer < call.spec.num_layers; ++layer) {
        T* output = call.output;
        if (layer + 1 < call.spec.num_layers)
            output = call.saved == nullptr
                         ? memory.between[layer % 2]
                         : saved_output(call.saved, call.spec, memory.steps.rows(), layer, call.recomputes);
        const ForwardPlan plan =
            plan_forward(layer_shape(kernels, call.spec, call.batch, layer, call.threads, call.is_awake));
        ForwardLayer<T> stage{kernels, call, memory, plan, layer, input, output, {}, {}, {{}, {}}};
        for (ptrdiff_t d = 0; d < call.spec.num_directions; ++d)
            stage.packs[d] = call.packed == nullptr
                                 ? memory.pack[d]
                                 : find_pack(kernels, call.spec, layer * call.spec.num_directions + d,
                                             const_cast<T*>(call.packed));
        on_threads(plan.threads, [&](int thread, int threads) { stage.work(thread, threads); });
        input = {output, features, 0, true};
    }
}

size_t packed_bytes(const KernelTable& table, const Spec& spec, size_t value_bytes) {
    Arena arena(nullptr);
    const auto lay_out_all = [&](const auto& kernels) {
        for (ptrdiff_t cell = 0; cell < spec.cells(); ++cell)
            lay_out_pack(kernels, spec.width(cell / spec.num_directions), spec.hidden_size, arena);
    };
    value_bytes == sizeof(float) ? lay_out_all(table.float32) : lay_out_all(table.float64);
    return arena.used();
}

template <class T>
void pack(const KernelTable& table, const Spec& spec, const Cell<T>* cells, T* packed) {
    const Kernels<T>& kernels = kernels_of<T>(table);
    for (ptrdiff_t cell = 0; cell < spec.cells(); ++cell)
        pack_cell(kernels, cells[cell], spec.width(cell / spec.num_directions), spec.hidden_size,
                  find_pack(kernels, spec, cell, packed),
                  Share((spec.hidden_size + kernels.lanes - 1) / kernels.lanes, 0, 1));
}

template void pack(const KernelTable&, const Spec&, const Cell<float>*, float*);
template void pack(const KernelTable&, const Spec&, const Cell<double>*, double*);
template size_t workspace_bytes(const KernelTable&, const Forward<float>&);
template size_t workspace_bytes(const KernelTable&, const Forward<double>&);
template void run(const KernelTable&, const Forward<float>&, void*);
template void run(const KernelTable&, const Forward<double>&, void*);

}  // namespace fastgru
