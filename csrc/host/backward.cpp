// The backward pass: layers and directions from the top down, each in chunks of steps from the end. In a chunk the
// recurrence runs first and leaves the gradients of the gates, still in cache; then threads share the products that
// need all of them: the gradients of the input, the weights and the biases.
//
// The gradients of the gates are never stored for the whole sequence, and what the forward pass saved is only read,
// so a second backward pass needs nothing special. Chunks depend on sizes alone and every sum has one owner, so
// gradients do not depend on the number of threads.
#include <initializer_list>

#include "host/packed_cell.h"
#include "host/rows.h"

namespace fastgru {

namespace {

// A weight matrix and its gradient, with columns in panels of W vectors.
template <class T>
struct Columns {
    ptrdiff_t width;  // columns
    int vectors;      // W
    ptrdiff_t panels;
    T* weight;       // [panels][3 Hp][W][L]
    T* right;        // [panels][chunk rows][W][L]: what the gate gradients are multiplied with
    T* d_weight;     // [panels][3 Hp][W][L]
    const T** rows;  // [chunk rows]: where the rows of `right` come from

    ptrdiff_t panel_values(ptrdiff_t rows, ptrdiff_t lanes) const { return panels * rows * vectors * lanes; }
};

// Everything one call keeps in its workspace; cells use it one after another.
template <class T>
struct BackwardMemory {
    Steps steps;
    T* zeros;            // [H]
    T* d_between[2];     // [N][D H]: gradients of the outputs of inner layers
    ptrdiff_t capacity;  // rows of a chunk
    T* d_gates[2];       // [4 Hb][capacity][L]: this chunk's and the one's before
    T* carry;            // [B][Hp]
    T* d_bias;           // [4 Hb][L]
    Columns<T> ih, hh;
    const T** weight_rows;  // [2][3 Hp]: where the rows of the weights come from
    T** d_input_rows;       // [chunk rows]
    // What computing the gates of a chunk again takes; only where the forward pass has not saved them.
    CellPack<T> pack;
    T* projected;        // [chunk rows][3 Hp], in pieces by thread
    const T** previous;  // [chunk rows]
    T* gates;            // [chunk rows][4][H]
};

template <class T>
Columns<T> lay_out_columns(const Kernels<T>& kernels, ptrdiff_t width, ptrdiff_t depth, ptrdiff_t capacity,
                           Arena& arena) {
    Columns<T> columns;
    columns.width = width;
    columns.vectors = panel_vectors(width, kernels.lanes);
    columns.panels = ceil_div(width, columns.vectors * kernels.lanes);
    columns.weight = arena.take<T>(columns.panel_values(depth, kernels.lanes));
    columns.d_weight = arena.take<T>(columns.panel_values(depth, kernels.lanes));
    columns.right = arena.take<T>(columns.panel_values(capacity, kernels.lanes));
    columns.rows = arena.take<const T*>(capacity);
    return columns;
}

template <class T>
BackwardMemory<T> lay_out(const Kernels<T>& kernels, const Backward<T>& call, ptrdiff_t layer, Arena& arena) {
    const Spec& spec = call.spec;
    const ptrdiff_t H = spec.hidden_size, L = kernels.lanes, blocks = kernels.blocks(H);
    BackwardMemory<T> memory{};
    memory.steps = lay_out_steps(call.batch, arena);
    memory.zeros = arena.take<T>(H);
    for (T*& d_between : memory.d_between)
        d_between = spec.num_layers > 1 ? arena.take<T>(call.batch.total() * spec.num_directions * H) : nullptr;
    const BackwardPlan plan = plan_backward(layer_shape(kernels, call, layer));
    memory.capacity = plan.chunk_steps * call.batch.rows;
    for (T*& d_gates : memory.d_gates) d_gates = arena.take<T>(4 * blocks * memory.capacity * L);
    memory.carry = arena.take<T>(call.batch.rows * blocks * L);
    memory.d_bias = arena.take<T>(4 * blocks * L);
    memory.weight_rows = arena.take<const T*>(2 * 3 * blocks * L);
    memory.d_input_rows = arena.take<T*>(memory.capacity);
    memory.hh = lay_out_columns(kernels, H, 3 * blocks * L, memory.capacity, arena);
    memory.ih = lay_out_columns(kernels, spec.width(layer), 3 * blocks * L, memory.capacity, arena);
    if (call.recomputes) {
        memory.pack = lay_out_pack(kernels, spec.width(layer), H, arena);
        memory.projected = arena.take<T>(memory.capacity * 3 * blocks * L);
        memory.previous = arena.take<const T*>(memory.capacity);
        memory.gates = arena.take<T>(memory.capacity * 4 * H);
    }
    return memory;
}

// Gate of torch's order (r, z, n) that stands in place `group` of the packed rows.
constexpr int kInputGate[3] = {2, 0, 1};   // n, r, z: as the first three groups of the gate gradients
constexpr int kHiddenGate[3] = {0, 1, 2};  // r, z, n: as the last three

// One layer and direction of a call, as its threads see it.
template <class T>
struct BackwardCell {
    const Kernels<T>& kernels;
    const Backward<T>& call;
    const BackwardMemory<T>& memory;
    BackwardPlan plan;
    ptrdiff_t layer, direction;
    Sequence<const T> input, d_output;
    Sequence<const T> output;  // of this layer
    Sequence<T> d_input;       // null data: not wanted
    Barrier barrier;

    ptrdiff_t hidden_size() const { return call.spec.hidden_size; }
    ptrdiff_t blocks() const { return kernels.blocks(hidden_size()); }
    ptrdiff_t cell() const { return layer * call.spec.num_directions + direction; }
    const CellGradients<T>& gradients() const { return call.d_cells[cell()]; }

    BackwardSteps<T> recurrence() {
        const ptrdiff_t H = hidden_size(), state = cell() * call.batch.rows * H;
        BackwardSteps<T> run{};
        run.steps = &memory.steps;
        run.is_reverse = direction == 1;
        run.hidden_size = H;
        run.panel_vectors = memory.hh.vectors;
        run.weight_hh = memory.hh.weight;
        run.saved =
            call.recomputes ? memory.gates : saved_gates(call.saved, call.spec, memory.steps.rows(), cell());
        run.output = output;
        run.output.data += direction * H;
        run.resets = resets_of_cell(call.resets, cell(), call.batch.rows, H, memory.zeros);
        run.h_0 = call.h_0 == nullptr ? memory.zeros : call.h_0 + state;
        run.h_0_stride = call.h_0 == nullptr ? 0 : H;
        run.d_output = d_output;
        if (run.d_output.data != nullptr) run.d_output.data += direction * H;
        run.d_h_n = call.d_h_n == nullptr ? nullptr : call.d_h_n + state;
        run.d_h_0 = call.d_h_0 == nullptr ? nullptr : call.d_h_0 + state;
        run.d_reset = call.d_reset == nullptr ? nullptr : call.d_reset + state;
        run.carry = memory.carry;
        run.capacity = memory.capacity;
        run.barrier = &barrier;
        return run;
    }

    // The rows of a (3H, columns) weight in the order of three groups of gate gradients, padded with null.
    void pack_weight(const T* weight, const int (&gates)[3], const Columns<T>& columns, const T** rows,
                     const Share& share) const {
        const ptrdiff_t padded = blocks() * kernels.lanes;
        for (ptrdiff_t i = share.begin; i < share.end; ++i) {
            const ptrdiff_t unit = i % padded, gate = gates[i / padded];
            rows[i] = unit < hidden_size() ? weight + (gate * hidden_size() + unit) * columns.width : nullptr;
        }
        kernels.pack_rows(rows, 3 * padded, columns.width, columns.vectors, columns.weight, share.begin, share.end);
    }

    void prepare(int thread, int threads) const {
        const ptrdiff_t depth = 3 * blocks() * kernels.lanes;
        const Share share(depth, thread, threads);
        const Cell<T>& weights = call.cells[cell()];
        pack_weight(weights.weight_hh, kHiddenGate, memory.hh, memory.weight_rows, share);
        if (d_input.data != nullptr)
            pack_weight(weights.weight_ih, kInputGate, memory.ih, memory.weight_rows + depth, share);
        for (const Columns<T>* columns : {&memory.ih, &memory.hh}) {
            const Share values(columns->panel_values(depth, kernels.lanes), thread, threads);
            memset(columns->d_weight + values.begin, 0, size_t(values.end - values.begin) * sizeof(T));
        }
        if (thread == 0) memset(memory.d_bias, 0, size_t(4 * blocks() * kernels.lanes) * sizeof(T));
        if (call.recomputes)
            pack_cell(kernels, weights, call.spec.width(layer), hidden_size(), memory.pack,
                      Share(blocks(), thread, threads));
    }

    // The gates of some rows of a chunk, as the forward pass had them: all states are known, so no step waits for
    // another.
    void recompute(const BackwardSteps<T>& run, const Share& rows) const {
        const ptrdiff_t H = hidden_size(), count = rows.end - rows.begin;
        if (count == 0) return;
        const T** inputs = memory.ih.rows + rows.begin;
        const T** previous = memory.previous + rows.begin;
        for_flat_rows(memory.steps, run.first_row + rows.begin, run.first_row + rows.end,
                      [&](ptrdiff_t i, ptrdiff_t t, ptrdiff_t b) {
                          const ptrdiff_t at = i - run.first_row - rows.begin;
                          inputs[at] = input.at(memory.steps, t, b);
                          previous[at] = state_before<T>(run, t, b);
                      });
        T* projected = memory.projected + rows.begin * 3 * blocks() * kernels.lanes;
        kernels.project(inputs, count, call.spec.width(layer), memory.pack.weight_ih, memory.pack.bias, 0, blocks(),
                        projected);
        ForwardSteps<T> step{};
        step.panel_end = blocks();
        step.hidden_size = H;
        step.weight_hh = memory.pack.weight_hh;
        step.bias_hn = memory.pack.bias_hn;
        step.projected = projected;
        step.projected_rows = count;
        step.saved = memory.gates + rows.begin * 4 * H;
        step.previous = previous;
        kernels.forward_rows(step, count);
    }

    // The vectors that the gate gradients of a chunk will be multiplied with: inputs and previous states.
    void pack_chunk(const BackwardSteps<T>& run, const Share& rows) const {
        const ptrdiff_t first = run.first_row;
        if (gradients().weight_ih != nullptr) {
            const Columns<T>& ih = memory.ih;
            for_flat_rows(
                memory.steps, first + rows.begin, first + rows.end,
                [&](ptrdiff_t i, ptrdiff_t t, ptrdiff_t b) { ih.rows[i - first] = input.at(memory.steps, t, b); });
            kernels.pack_rows(ih.rows, memory.capacity, ih.width, ih.vectors, ih.right, rows.begin, rows.end);
        }
        if (gradients().weight_hh != nullptr) {
            const Columns<T>& hh = memory.hh;
            for_flat_rows(
                memory.steps, first + rows.begin, first + rows.end,
                [&](ptrdiff_t i, ptrdiff_t t, ptrdiff_t b) { hh.rows[i - first] = state_before<T>(run, t, b); });
            kernels.pack_rows(hh.rows, memory.capacity, hh.width, hh.vectors, hh.right, rows.begin, rows.end);
        }
    }

    // The recurrence over one chunk, times [begin, end), for the batch rows or the hidden units of this thread.
    void run_chunk(BackwardSteps<T> run, ptrdiff_t begin, ptrdiff_t end, int thread, int threads) const {
        const bool splits = plan.partition == Partition::columns;
        const Share panels(memory.hh.panels, splits ? thread : 0, splits ? threads : 1);
        run.panel_begin = panels.begin;
        run.panel_end = panels.end;
        run.threads = splits ? threads : 1;
        run.row_begin = splits ? 0 : dividing_row(memory.steps, begin, end, thread, threads);
        run.row_end = splits ? call.batch.rows : dividing_row(memory.steps, begin, end, thread + 1, threads);
        kernels.backward_steps(run);
    }

    void use_chunk(const BackwardSteps<T>& run, ptrdiff_t rows, int thread, int threads) const {
        if (rows == 0) return;  // all sequences are empty
        const ptrdiff_t capacity = memory.capacity, group = blocks() * capacity * kernels.lanes;
        const Columns<T>&ih = memory.ih, &hh = memory.hh;
        const Share shared_rows(rows, thread, threads);
        if (d_input.data != nullptr) {
            for_flat_rows(memory.steps, run.first_row + shared_rows.begin, run.first_row + shared_rows.end,
                          [&](ptrdiff_t i, ptrdiff_t t, ptrdiff_t b) {
                              memory.d_input_rows[i - run.first_row] = d_input.at(memory.steps, t, b);
                          });
            kernels.input_gradient(run.d_gates, capacity, 3 * blocks(), ih.weight, ih.vectors, ih.width,
                                   memory.d_input_rows, direction == 1, shared_rows.begin, shared_rows.end);
        }
        const Share units(3 * blocks(), thread, threads);
        const auto add_weight = [&](const Columns<T>& columns, const T* d_gates) {
            kernels.weight_gradient(d_gates, capacity, rows, 3 * blocks(), columns.right, columns.vectors,
                                    columns.panels, columns.d_weight, units.begin, units.end);
        };
        if (gradients().weight_ih != nullptr) add_weight(ih, run.d_gates);
        if (gradients().weight_hh != nullptr) add_weight(hh, run.d_gates + group);
        if (gradients().bias_ih != nullptr || gradients().bias_hh != nullptr) {
            const Share all(4 * blocks(), thread, threads);
            kernels.bias_gradient(run.d_gates, capacity, rows, memory.d_bias, all.begin, all.end);
        }
    }

    // From panels to torch's (3H, columns), rows r, z, n.
    void write_weight(const Columns<T>& columns, const int (&gates)[3], T* d_weight, const Share& share) const {
        const ptrdiff_t H = hidden_size(), padded = blocks() * kernels.lanes,
                        step = columns.vectors * kernels.lanes;
        for (ptrdiff_t i = share.begin; i < share.end; ++i) {
            const ptrdiff_t group = i / H, unit = group * padded + i % H;
            T* row = d_weight + (gates[group] * H + i % H) * columns.width;
            for (ptrdiff_t column = 0; column < columns.width; column += step) {
                const T* from = columns.d_weight + (column / step * 3 * padded + unit) * step;
                memcpy(row + column, from, size_t(min(step, columns.width - column)) * sizeof(T));
            }
        }
    }

    void write_bias(const int (&gates)[3], const T* groups, T* d_bias) const {
        const ptrdiff_t H = hidden_size(), padded = blocks() * kernels.lanes;
        for (int group = 0; group < 3; ++group)
            memcpy(d_bias + gates[group] * H, groups + group * padded, size_t(H) * sizeof(T));
    }

    void write_gradients(int thread, int threads) const {
        const CellGradients<T>& to = gradients();
        const Share share(3 * hidden_size(), thread, threads);
        if (to.weight_ih != nullptr) write_weight(memory.ih, kInputGate, to.weight_ih, share);
        if (to.weight_hh != nullptr) write_weight(memory.hh, kHiddenGate, to.weight_hh, share);
        if (thread != 0) return;
        if (to.bias_ih != nullptr) write_bias(kInputGate, memory.d_bias, to.bias_ih);
        if (to.bias_hh != nullptr) write_bias(kHiddenGate, memory.d_bias + blocks() * kernels.lanes, to.bias_hh);
    }

    // What no step of the recurrence writes: zeros past the ends, and the gradient of states that were never used.
    void fill_in(int thread, int threads) const {
        const Share share(call.batch.rows, thread, threads);
        if (layer == 0 && direction == 0 && d_input.data != nullptr)
            clear_padding(call.batch, d_input, call.spec.width(0), share.begin, share.end);
        const ptrdiff_t H = hidden_size();
        const size_t bytes = size_t(H) * sizeof(T);
        for (ptrdiff_t b = share.begin; b < share.end; ++b) {
            const ptrdiff_t at = (cell() * call.batch.rows + b) * H;
            if (call.d_reset != nullptr) memset(call.d_reset + at, 0, bytes);
            if (call.d_h_0 == nullptr || call.batch.lengths == nullptr || call.batch.lengths[b] > 0) continue;
            memcpy(call.d_h_0 + at, call.d_h_n == nullptr ? memory.zeros : call.d_h_n + at, bytes);
        }
    }

    void work(int thread, int threads) {
        prepare(thread, threads);
        fill_in(thread, threads);
        barrier.wait(threads);
        BackwardSteps<T> run = recurrence();
        const Steps& steps = memory.steps;
        int chunk = 0;
        for (ptrdiff_t end = steps.count; end > 0; ++chunk) {
            run.step_end = end;
            run.step_begin = end = end > plan.chunk_steps ? end - plan.chunk_steps : 0;
            const ptrdiff_t first = run.is_reverse ? steps.count - run.step_end : run.step_begin;
            const ptrdiff_t last = run.is_reverse ? steps.count - run.step_begin : run.step_end;
            run.later_d_gates = memory.d_gates[(chunk + 1) % 2];
            run.later_first_row = run.first_row;
            run.d_gates = memory.d_gates[chunk % 2];
            run.first_row = steps.first_row[first];
            const ptrdiff_t rows = steps.first_row[last] - run.first_row;
            pack_chunk(run, Share(rows, thread, threads));
            if (call.recomputes) {
                run.saved_first_row = run.first_row;
                recompute(run, Share(rows, thread, threads));
                barrier.wait(threads);
            }
            run_chunk(run, first, last, thread, threads);
            barrier.wait(threads);
            use_chunk(run, rows, thread, threads);
            barrier.wait(threads);
        }
        write_gradients(thread, threads);
    }
};

// True when something at or below this layer is wanted, so that the layer above must hand its input's gradient
// down.
template <class T>
bool wants_below(const Backward<T>& call, ptrdiff_t layer) {
    bool wants = call.d_input.data != nullptr || call.d_h_0 != nullptr || call.d_reset != nullptr;
    for (ptrdiff_t cell = 0; cell < layer * call.spec.num_directions; ++cell) wants |= call.d_cells[cell].any();
    return wants;
}

template <class T>
size_t largest_workspace(const Kernels<T>& kernels, const Backward<T>& call) {
    size_t bytes = 0;
    for (const ptrdiff_t layer : {ptrdiff_t(0), call.spec.num_layers - 1}) {
        Arena arena(nullptr);
        lay_out(kernels, call, layer, arena);
        bytes = arena.used() > bytes ? arena.used() : bytes;
    }
    return bytes;
}

}  // namespace

template <class T>
size_t workspace_bytes(const KernelTable& table, const Backward<T>& call) {
    return largest_workspace(kernels_of<T>(table), call);
}

template <class T>
void run(const KernelTable& table, const Backward<T>& call, void* workspace) {
    const Kernels<T>& kernels = kernels_of<T>(table);
    const Spec& spec = call.spec;
    const ptrdiff_t features = spec.num_directions * spec.hidden_size;
    Sequence<const T> d_output = call.d_output;
    for (ptrdiff_t layer = spec.num_layers - 1; layer >= 0; --layer) {
        Arena arena(workspace);
        const BackwardMemory<T> memory = lay_out(kernels, call, layer, arena);
        memset(memory.zeros, 0, size_t(spec.hidden_size) * sizeof(T));
        const ptrdiff_t total = memory.steps.rows();
        const auto output_of = [&](ptrdiff_t l) -> Sequence<const T> {
            if (l + 1 == spec.num_layers) return call.output;
            return flat_sequence(saved_output(call.saved, spec, total, l, call.recomputes), features);
        };
        Sequence<T> d_input = call.d_input;
        Sequence<const T> input = call.input;
        if (layer > 0) {
            d_input = flat_sequence(wants_below(call, layer) ? memory.d_between[layer % 2] : nullptr, features);
            input = output_of(layer - 1);
        }
        const BackwardPlan plan = plan_backward(layer_shape(kernels, call, layer));
        for (ptrdiff_t direction = 0; direction < spec.num_directions; ++direction) {
            BackwardCell<T> cell{
                .kernels = kernels,
                .call = call,
                .memory = memory,
                .plan = plan,
                .layer = layer,
                .direction = direction,
                .input = input,
                .d_output = d_output,
                .output = output_of(layer),
                .d_input = d_input,
                .barrier = {},
            };
            on_threads(plan.threads, [&](int thread, int threads) { cell.work(thread, threads); });
        }
        if (d_input.data == nullptr) return;
        d_output = flat_sequence<const T>(d_input.data, features);
    }
}

template size_t workspace_bytes(const KernelTable&, const Backward<float>&);
template size_t workspace_bytes(const KernelTable&, const Backward<double>&);
template void run(const KernelTable&, const Backward<float>&, void*);
template void run(const KernelTable&, const Backward<double>&, void*);

}  // namespace fastgru
