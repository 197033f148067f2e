// One step of a layer whose weights nobody has packed. Few rows use them as they are. For more, the weights of a
// few hidden blocks at a time are packed and used while they are near: so they are neither written to a far cache
// nor read from it again.
#pragma once

#include "host/forward_layer.h"

namespace fastgru {

// Packed weights that stay in the second-level cache.
constexpr ptrdiff_t kNearWeightBytes = 256 * 1024;

// Without reset_after, more rows than few take the way of several steps, and so do weights of 16 bits.
template <class Layer>
bool is_one_step(const Layer& layer) {
    using S = typename Layer::Stored;
    const bool is_for_kernel =
        layer.call.spec.reset_after || (!Half<S> && layer.call.batch.rows <= kSingleStepRows<S>);
    return layer.call.packed == nullptr && takes_one_step(layer.call.batch) && is_for_kernel;
}

template <class Layer>
auto single_step_of(Layer& layer, const typename Layer::Run& run, ptrdiff_t direction, const Share& share,
                    int thread) {
    using S = typename Layer::Stored;
    const Cell<S>& cell = layer.call.cells[layer.cell(direction)];
    const auto** rows = layer.memory.scratch[thread].input_rows;
    for (ptrdiff_t b = 0; b < run.row_end; ++b) {
        rows[b] = layer.input.at(layer.memory.steps, 0, b);
        run.previous[b] = state_before<typename Layer::Value>(run, 0, b);
        run.next[b] = run.output.at(layer.memory.steps, 0, b);
    }
    return SingleStep<typename Layer::Value, S>{
        .rows = run.row_end,
        .input_size = layer.width(),
        .hidden_size = layer.hidden_size(),
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
    };
}

// Few rows with weights as they are.
template <class Layer>
void use_as_they_are(Layer& layer, const typename Layer::Run& run, ptrdiff_t direction, const Share& share,
                     int thread, int threads) {
    using S = typename Layer::Stored;
    const auto step = single_step_of(layer, run, direction, share, thread);
    if constexpr (!Half<S>) {
        if (!layer.call.spec.reset_after) {
            const ResetBeforeKernels<S>& kernels = reset_before_kernels<S>(layer.table);
            S* gated = layer.memory.scratch[0].gated;  // of all threads
            kernels.open_single_step(step, gated);
            layer.barrier.wait(threads);
            kernels.move_single_step(step, gated);
            return layer.barrier.wait(threads);  // the other direction has the same scratch
        }
    }
    kernels_of<S>(layer.table).single_step(step);
}

// A pack whose first blocks stand for those from `distance` on: kernels count blocks from the first of the cell.
template <class T, class S>
CellPack<T, S> moved(const ForwardKernels<T, S>& kernels, const CellPack<T, S>& pack, ptrdiff_t width, ptrdiff_t H,
                     ptrdiff_t distance) {
    const ptrdiff_t L = kernels.lanes;
    return {
        .weight_ih = pack.weight_ih - distance * input_block_values(kernels, width),
        .weight_hh = pack.weight_hh - distance * block_values(kernels, H),
        .bias = pack.bias - distance * 3 * L,
        .bias_hn = pack.bias_hn - distance * L,
    };
}

template <class Layer>
void pack_and_use(Layer& layer, typename Layer::Run& run, ptrdiff_t direction, const Share& share, int thread) {
    const ptrdiff_t width = layer.width(), H = layer.hidden_size();
    const ptrdiff_t bytes = (block_values(layer.kernels, width) + block_values(layer.kernels, H)) *
                            ptrdiff_t(sizeof(*layer.packs[0].weight_hh));
    const ptrdiff_t together = max(1, kNearWeightBytes / bytes);
    const auto whole = layer.packs[direction];
    const auto& scratch = layer.memory.scratch[thread];
    advance(run, run.row_end);
    read_input(layer, run, thread);
    for (ptrdiff_t begin = share.begin; begin < share.end; begin += together) {
        const auto near = moved(layer.kernels, whole, width, H, begin - share.begin);
        run.panel_begin = begin, run.panel_end = min(begin + together, share.end);
        pack_cell(layer.table, layer.call.cells[layer.cell(direction)], layer.call.spec, width, near,
                  {run.panel_begin, run.panel_end});
        layer.kernels.project(scratch.input_rows, run.projected_rows, width, near.weight_ih, near.bias,
                              run.panel_begin, run.panel_end, scratch.projected);
        run.weight_hh = near.weight_hh, run.bias_hn = near.bias_hn;
        layer.kernels.forward_steps(run);
    }
}

// One thread's share of the hidden blocks.
template <class Layer>
void run_one_step(Layer& layer, int thread, int threads) {
    using S = typename Layer::Stored;
    const Share share(layer.blocks(), thread, threads);
    const auto of_all_rows = [&](ptrdiff_t direction) {
        typename Layer::Run run = group_of(layer, direction, 0, thread, threads);
        run.row_end = layer.call.batch.rows;  // here threads share units, whatever the plan has them share
        run.threads = 1;
        return run;
    };
    for (ptrdiff_t d = 0; d < layer.directions(); ++d) {
        typename Layer::Run run = of_all_rows(d);
        if (run.row_end <= kSingleStepRows<S>)
            use_as_they_are(layer, run, d, share, thread, threads);
        else
            pack_and_use(layer, run, d, share, thread);
    }
    layer.barrier.wait(threads);
    for (ptrdiff_t d = 0; d < layer.directions() && thread == 0; ++d) copy_last_states(layer, of_all_rows(d), d);
}

}  // namespace fastgru
