// One chunk of steps of the backward pass: its vectors into panels, the recurrence, then the products with the gate
// gradients that it leaves.
#pragma once

#include "host/backward_cell.h"

namespace fastgru {

// What is the same for all chunks of a cell.
template <class T>
BackwardSteps<T> recurrence_of(const BackwardCell<T>& cell, Barrier& barrier) {
    const Backward<T>& call = cell.call;
    const BackwardMemory<T>& memory = cell.memory;
    const ptrdiff_t H = cell.hidden_size(), state = cell.index() * call.batch.rows * H;
    BackwardSteps<T> run{};
    run.steps = &memory.steps;
    run.is_reverse = cell.direction == 1;
    run.hidden_size = H;
    run.panel_vectors = memory.hh.vectors;
    run.weight_hh = memory.hh.weight;
    run.saved =
        call.recomputes ? memory.gates : saved_gates(call.saved, call.spec, memory.steps.rows(), cell.index());
    run.output = cell.output;
    run.output.data += cell.direction * H;
    run.resets = resets_of_cell(call.resets, cell.index(), call.batch.rows, H, memory.zeros);
    run.h_0 = call.h_0 == nullptr ? memory.zeros : call.h_0 + state;
    run.h_0_stride = call.h_0 == nullptr ? 0 : H;
    run.d_output = cell.d_output;
    if (run.d_output.data != nullptr) run.d_output.data += cell.direction * H;
    run.d_h_n = call.d_h_n == nullptr ? nullptr : call.d_h_n + state;
    run.d_h_0 = call.d_h_0 == nullptr ? nullptr : call.d_h_0 + state;
    run.d_reset = call.d_reset == nullptr ? nullptr : call.d_reset + state;
    run.carry = memory.carry;
    run.capacity = memory.capacity;
    run.barrier = &barrier;
    return run;
}

// Steps [begin, end) of the recurrence in processing order, the chunk of this number counted from the last one.
// Returns how many rows it has.
template <class T>
ptrdiff_t move_to_chunk(const BackwardCell<T>& cell, BackwardSteps<T>& run, int chunk, ptrdiff_t begin,
                        ptrdiff_t end) {
    const Steps& steps = cell.memory.steps;
    run.step_begin = begin;
    run.step_end = end;
    run.later_d_gates = cell.memory.d_gates[(chunk + 1) % 2];
    run.later_first_row = run.first_row;
    run.d_gates = cell.memory.d_gates[chunk % 2];
    run.first_row = steps.first_row[run.is_reverse ? steps.count - end : begin];
    if (cell.call.recomputes) run.saved_first_row = run.first_row;
    return steps.first_row[run.is_reverse ? steps.count - begin : end] - run.first_row;
}

// The gates of some rows of a chunk, as the forward pass had them: all states are known, so no step waits for
// another.
template <class T>
void recompute(const BackwardCell<T>& cell, const BackwardSteps<T>& run, const Share& rows) {
    const BackwardMemory<T>& memory = cell.memory;
    const ptrdiff_t H = cell.hidden_size(), count = rows.end - rows.begin;
    if (count == 0) return;
    const T** inputs = memory.ih.rows + rows.begin;
    const T** previous = memory.previous + rows.begin;
    for_flat_rows(memory.steps, run.first_row + rows.begin, run.first_row + rows.end,
                  [&](ptrdiff_t i, ptrdiff_t t, ptrdiff_t b) {
                      const ptrdiff_t at = i - run.first_row - rows.begin;
                      inputs[at] = cell.input.at(memory.steps, t, b);
                      previous[at] = state_before<T>(run, t, b);
                  });
    T* projected = memory.projected + rows.begin * 3 * cell.padded();
    cell.kernels.project(inputs, count, cell.width(), memory.pack.weight_ih, memory.pack.bias, 0, cell.blocks(),
                         projected);
    ForwardSteps<T> step{};
    step.panel_end = cell.blocks();
    step.hidden_size = H;
    step.weight_hh = memory.pack.weight_hh;
    step.bias_hn = memory.pack.bias_hn;
    step.projected = projected;
    step.projected_rows = count;
    step.saved = memory.gates + rows.begin * 4 * H;
    step.previous = previous;
    cell.kernels.forward_rows(step, count);
}

// The vectors that the gate gradients of a chunk will be multiplied with: inputs and previous states.
template <class T>
void pack_chunk(const BackwardCell<T>& cell, const BackwardSteps<T>& run, const Share& rows) {
    const BackwardMemory<T>& memory = cell.memory;
    const auto pack = [&](const Columns<T>& columns, const auto& vector_at) {
        for_flat_rows(
            memory.steps, run.first_row + rows.begin, run.first_row + rows.end,
            [&](ptrdiff_t i, ptrdiff_t t, ptrdiff_t b) { columns.rows[i - run.first_row] = vector_at(t, b); });
        cell.kernels.pack_rows(columns.rows, memory.capacity, columns.width, columns.vectors, columns.right,
                               rows.begin, rows.end);
    };
    if (cell.gradients().weight_ih != nullptr)
        pack(memory.ih, [&](ptrdiff_t t, ptrdiff_t b) { return cell.input.at(memory.steps, t, b); });
    if (cell.gradients().weight_hh != nullptr)
        pack(memory.hh, [&](ptrdiff_t t, ptrdiff_t b) { return state_before<T>(run, t, b); });
}

// The recurrence over one chunk, for the batch rows or the hidden units of this thread.
template <class T>
void run_chunk(const BackwardCell<T>& cell, BackwardSteps<T> run, int thread, int threads) {
    const Steps& steps = cell.memory.steps;
    const bool splits = cell.plan.partition == Partition::columns;
    const Share panels(cell.memory.hh.panels, splits ? thread : 0, splits ? threads : 1);
    const ptrdiff_t begin = run.is_reverse ? steps.count - run.step_end : run.step_begin;
    const ptrdiff_t end = begin + run.step_end - run.step_begin;
    run.panel_begin = panels.begin;
    run.panel_end = panels.end;
    run.threads = splits ? threads : 1;
    run.row_begin = splits ? 0 : dividing_row(steps, begin, end, thread, threads);
    run.row_end = splits ? cell.call.batch.rows : dividing_row(steps, begin, end, thread + 1, threads);
    cell.kernels.backward_steps(run);
}

template <class T>
void add_input_gradient(const BackwardCell<T>& cell, const BackwardSteps<T>& run, const Share& rows) {
    const BackwardMemory<T>& memory = cell.memory;
    for_flat_rows(memory.steps, run.first_row + rows.begin, run.first_row + rows.end,
                  [&](ptrdiff_t i, ptrdiff_t t, ptrdiff_t b) {
                      memory.d_input_rows[i - run.first_row] = cell.d_input.at(memory.steps, t, b);
                  });
    cell.kernels.input_gradient(run.d_gates, memory.capacity, 3 * cell.blocks(), memory.ih.weight,
                                memory.ih.vectors, memory.ih.width, memory.d_input_rows, cell.direction == 1,
                                rows.begin, rows.end);
}

// One thread's share of the products with the gate gradients of a chunk of so many rows.
template <class T>
void use_chunk(const BackwardCell<T>& cell, const BackwardSteps<T>& run, ptrdiff_t rows, int thread, int threads) {
    if (rows == 0) return;  // all sequences are empty
    const BackwardMemory<T>& memory = cell.memory;
    const ptrdiff_t capacity = memory.capacity, blocks = cell.blocks(), group = cell.padded() * capacity;
    if (cell.d_input.data != nullptr) add_input_gradient(cell, run, Share(rows, thread, threads));
    const Share units(3 * blocks, thread, threads);
    const auto add_weight = [&](const Columns<T>& columns, const T* d_gates) {
        cell.kernels.weight_gradient(d_gates, capacity, rows, 3 * blocks, columns.right, columns.vectors,
                                     columns.panels, columns.d_weight, units.begin, units.end);
    };
    const CellGradients<T>& wanted = cell.gradients();
    if (wanted.weight_ih != nullptr) add_weight(memory.ih, run.d_gates);
    if (wanted.weight_hh != nullptr) add_weight(memory.hh, run.d_gates + group);
    if (wanted.bias_ih != nullptr || wanted.bias_hh != nullptr) {
        const Share all(4 * blocks, thread, threads);
        cell.kernels.bias_gradient(run.d_gates, capacity, rows, memory.d_bias, all.begin, all.end);
    }
}

}  // namespace fastgru
