// One layer of a forward call, as its threads see it, and the groups of batch rows and chunks of steps that they
// take it in.
#pragma once

#include "host/forward_memory.h"

namespace fastgru {

template <class T, class S, class P>
struct ForwardLayer {
    using Value = T;
    using Stored = S;
    using Run = ForwardSteps<T, P>;
    static constexpr bool kHasInt8 = __is_same(P, Int8);

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

    bool makes_panels() const { return fastgru::makes_panels<P>(call); }
    bool splits_columns() const { return plan.partition == Partition::columns; }
    ptrdiff_t directions() const { return call.spec.num_directions; }
    ptrdiff_t hidden_size() const { return call.spec.hidden_size; }
    ptrdiff_t width() const { return call.spec.width(layer); }
    ptrdiff_t blocks() const { return kernels.blocks(hidden_size()); }
    ptrdiff_t cell(ptrdiff_t direction) const { return layer * directions() + direction; }
};

// One thread's share of the panels that the call makes for itself.
template <class T, class S, class P>
void make_panels(const ForwardLayer<T, S, P>& layer, int thread, int threads) {
    const Forward<T, S>& call = layer.call;
    const Share share(layer.blocks(), thread, threads);
    for (ptrdiff_t d = 0; d < layer.directions(); ++d) {
        const ptrdiff_t cell = layer.cell(d);
        if (call.packed == nullptr)
            pack_cell(layer.table, call.cells[cell], call.spec, layer.width(), layer.packs[d], share);
        else if constexpr (sizeof(P) != sizeof(S))
            widen_pack(kernels_of<S>(layer.table),
                       find_pack<T, S>(kernels_of<S>(layer.table), call.spec, cell, call.packed), layer.width(),
                       layer.hidden_size(), layer.packs[d], share);
    }
}

// The recurrence for one group of rows, before its first chunk. Layer is a ForwardLayer, here and below.
template <class Layer>
typename Layer::Run group_of(Layer& layer, ptrdiff_t direction, ptrdiff_t group, int thread, int threads) {
    const auto& call = layer.call;
    const auto& memory = layer.memory;
    const bool splits = layer.splits_columns();
    const ptrdiff_t H = layer.hidden_size(), cell = layer.cell(direction);
    const Share columns(layer.blocks(), splits ? thread : 0, splits ? threads : 1);
    typename Layer::Run run{};
    run.steps = &memory.steps;
    run.is_reverse = direction == 1;
    run.row_begin = dividing_row(memory.steps, 0, memory.steps.count, group, layer.plan.groups);
    run.row_end = dividing_row(memory.steps, 0, memory.steps.count, group + 1, layer.plan.groups);
    run.panel_begin = columns.begin;
    run.panel_end = columns.end;
    run.hidden_size = H;
    run.weight_hh = layer.packs[direction].weight_hh;
    run.bias_hn = layer.packs[direction].bias_hn;
    run.projected = memory.scratch[thread].projected;
    run.h_0 = call.h_0 == nullptr ? memory.zeros : call.h_0 + cell * call.batch.rows * H;
    run.h_0_stride = call.h_0 == nullptr ? 0 : H;
    run.resets = resets_of_cell(call.resets, cell, call.batch.rows, H, memory.zeros);
    run.output = layer.output;
    run.output.data += direction * H;
    run.saved = call.saved == nullptr || call.recomputes
                    ? nullptr
                    : saved_gates(call.saved, call.spec, memory.steps.rows(), cell);
    run.previous = memory.scratch[thread].previous;
    run.next = memory.scratch[thread].next;
    run.quantized = memory.scratch[thread].quantized;
    run.gated = memory.scratch[splits ? 0 : thread].gated;
    run.barrier = &layer.barrier;
    run.threads = splits ? threads : 1;
    return run;
}

template <class Run>
ptrdiff_t time_of(const Run& run, ptrdiff_t step) {
    return run.is_reverse ? run.steps->count - 1 - step : step;
}

// Rows of the run's group alive at time t.
template <class Run>
ptrdiff_t active_rows(const Run& run, ptrdiff_t t) {
    return max(0, min(run.steps->active(t), run.row_end) - run.row_begin);
}

// The next chunk of a run: as many steps, at least one, as there is room for. False when none are left.
template <class Run>
bool advance(Run& run, ptrdiff_t chunk_rows) {
    run.step_begin = run.step_end;
    run.projected_rows = 0;
    for (; run.step_end < run.steps->count; ++run.step_end) {
        const ptrdiff_t rows = active_rows(run, time_of(run, run.step_end));
        if (run.projected_rows + rows > chunk_rows) break;
        run.projected_rows += rows;
    }
    return run.step_begin < run.step_end;
}

// Where the vectors of the input are that a chunk reads, in the order in which they are processed.
template <class Layer>
void collect_input(const Layer& layer, const typename Layer::Run& run, const typename Layer::Value** rows) {
    for (ptrdiff_t s = run.step_begin; s < run.step_end; ++s) {
        const ptrdiff_t t = time_of(run, s);
        for (ptrdiff_t b = 0; b < active_rows(run, t); ++b)
            *rows++ = layer.input.at(*run.steps, t, run.row_begin + b);
    }
}

// The same, quantized where the layer's weights are made for that.
template <class Layer>
void read_input(const Layer& layer, const typename Layer::Run& run, int thread) {
    const auto& scratch = layer.memory.scratch[thread];
    collect_input(layer, run, scratch.input_rows);
    if constexpr (Layer::kHasInt8) {
        if (is_quantized(layer.width()))
            int8_kernels_of(layer.kernels)
                .quantize(scratch.input_rows, run.projected_rows, layer.width(), scratch.quantized);
    }
}

// The projection of what a thread has read, for the hidden blocks [begin, end).
template <class Layer>
void project(const Layer& layer, const typename Layer::Run& run, ptrdiff_t direction, int thread, ptrdiff_t begin,
             ptrdiff_t end, typename Layer::Value* to) {
    const auto& scratch = layer.memory.scratch[thread];
    const auto& pack = layer.packs[direction];
    const ptrdiff_t rows = run.projected_rows, width = layer.width();
    if constexpr (Layer::kHasInt8) {
        const Int8Kernels& kernels = int8_kernels_of(layer.kernels);
        if (is_quantized(width))
            kernels.project_quantized(scratch.quantized, rows, width, pack.weight_ih, pack.bias, begin, end, to);
        else
            kernels.project_floats(scratch.input_rows, rows, width, reinterpret_cast<const float*>(pack.weight_ih),
                                   pack.bias, begin, end, to);
    } else {
        layer.kernels.project(scratch.input_rows, rows, width, pack.weight_ih, pack.bias, begin, end, to);
    }
}

// The distance from step to step in a sequence of a full batch.
template <class T>
ptrdiff_t step_distance(const Sequence<T>& sequence, const Steps& steps) {
    return sequence.is_flat ? steps.batch * sequence.row_stride : sequence.step_stride;
}

// The steps [step_begin, step_end) of a run of a small layer.
template <class Layer>
SmallLayer<typename Layer::Value> small_layer_of(const Layer& layer, const typename Layer::Run& run,
                                                 ptrdiff_t direction) {
    const Steps& steps = *run.steps;
    const auto& pack = layer.packs[direction];
    const ptrdiff_t H = layer.hidden_size(), first = time_of(run, run.step_begin), way = run.is_reverse ? -1 : 1;
    const bool is_begin = run.step_begin == 0;
    return {
        .steps = run.step_end - run.step_begin,
        .rows = run.row_end - run.row_begin,
        .input_size = layer.width(),
        .hidden_size = H,
        .weight_ih = pack.weight_ih,
        .weight_hh = pack.weight_hh,
        .bias = pack.bias,
        .bias_hn = pack.bias_hn,
        .input = layer.input.at(steps, first, run.row_begin),
        .input_row = layer.input.row_stride,
        .input_step = way * step_distance(layer.input, steps),
        .h_0 = state_before<typename Layer::Value>(run, first, run.row_begin),
        .h_0_row = is_begin ? run.h_0_stride : run.output.row_stride,
        .output = run.output.at(steps, first, run.row_begin),
        .output_row = run.output.row_stride,
        .output_step = way * step_distance(run.output, steps),
        .saved = run.saved == nullptr ? nullptr : run.saved + (first * steps.batch + run.row_begin) * 4 * H,
        .saved_step = way * steps.batch * 4 * H,
    };
}

// The steps of a run whose inputs are projected, by the kernel for the layer's kind.
template <class T, class S, class P>
void run_steps(const ForwardLayer<T, S, P>& layer, const ForwardSteps<T, P>& run) {
    if constexpr (__is_same(P, T)) {
        if (!layer.call.spec.reset_after) return reset_before_kernels<T>(layer.table).forward_steps(run);
    }
    layer.kernels.forward_steps(run);
}

// The next chunk of a run; false when none is left. `scratch` is which one it uses.
template <class T, class S, class P>
bool run_chunk(const ForwardLayer<T, S, P>& layer, ForwardSteps<T, P>& run, ptrdiff_t direction, int scratch) {
    if (!advance(run, layer.plan.chunk_rows)) return false;
    if constexpr (sizeof(P) == sizeof(T)) {
        if (layer.plan.is_small) {
            kernels_of<T>(layer.table).small_layer(small_layer_of(layer, run, direction));
            return true;
        }
    }
    read_input(layer, run, scratch);
    project(layer, run, direction, scratch, run.panel_begin, run.panel_end,
            layer.memory.scratch[scratch].projected);
    run_steps(layer, run);
    return true;
}

template <class Layer>
void copy_last_states(const Layer& layer, const typename Layer::Run& run, ptrdiff_t direction) {
    const Steps& steps = *run.steps;
    const ptrdiff_t H = layer.hidden_size();
    ptrdiff_t t = steps.count - 1;
    for (ptrdiff_t b = run.row_begin; b < run.row_end; ++b) {
        while (!run.is_reverse && t > 0 && b >= steps.active(t)) --t;
        const ptrdiff_t last = run.is_reverse ? 0 : t, place = steps.place(b);
        const auto* state =
            b < steps.active(last) ? run.output.at(steps, last, b) : run.h_0 + place * run.h_0_stride;
        auto* to = layer.call.h_n + (layer.cell(direction) * steps.batch + place) * H;
        if (to != state) memcpy(to, state, size_t(H) * sizeof(*state));  // a cell's output is its state
    }
}

}  // namespace fastgru
