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
    run.d_gates = memory.d_gates;
    run.later_d_gates = memory.later_d_gates;
    run.gate_stride = memory.gate_stride;
    run.panel_vectors = panel_vectors(call.batch.rows);
    run.barrier = &barrier;
    return run;
}

// Steps [begin, end) of the recurrence in processing order. Returns how many rows they have.
template <class T>
ptrdiff_t move_to_chunk(const BackwardCell<T>& cell, BackwardSteps<T>& run, ptrdiff_t begin, ptrdiff_t end) {
    const Steps& steps = cell.memory.steps;
    run.step_begin = begin;
    run.step_end = end;
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
    cell.reset_after() ? cell.kernels.forward_rows(step, count)
                       : reset_before_kernels<T>(cell.table).forward_rows(step, count);
}

// Some rows of a chunk to panels `right`: vector_at(i, t, b) is where the vector of flat row i is.
template <class T, class VectorAt>
void pack_right(const BackwardCell<T>& cell, const BackwardSteps<T>& run, const Share& rows,
                const Columns<T>& columns, T* right, const VectorAt& vector_at) {
    const BackwardMemory<T>& memory = cell.memory;
    for_flat_rows(
        memory.steps, run.first_row + rows.begin, run.first_row + rows.end,
        [&](ptrdiff_t i, ptrdiff_t t, ptrdiff_t b) { columns.rows[i - run.first_row] = vector_at(i, t, b); });
    cell.kernels.pack_rows({.row = columns.rows,
                            .rows = memory.capacity,
                            .K = columns.width,
                            .packed = right,
                            .panel_vectors = kPanelVectors,
                            .begin = rows.begin,
                            .end = rows.end},
                           0, columns.vectors);
}

// The vectors that the gate gradients of a chunk will be multiplied with: inputs and previous states.
template <class T>
void pack_chunk(const BackwardCell<T>& cell, const BackwardSteps<T>& run, const Share& rows) {
    const BackwardMemory<T>& memory = cell.memory;
    if (cell.gradients().weight_ih != nullptr)
        pack_right(cell, run, rows, memory.ih, memory.ih.right,
                   [&](ptrdiff_t, ptrdiff_t t, ptrdiff_t b) { return cell.input.at(memory.steps, t, b); });
    if (cell.gradients().weight_hh != nullptr)
        pack_right(cell, run, rows, memory.hh, memory.hh.right,
                   [&](ptrdiff_t, ptrdiff_t t, ptrdiff_t b) { return state_before<T>(run, t, b); });
}

// Without reset_after, those of n as well: r * h, once it is known.
template <class T>
void pack_gated(const BackwardCell<T>& cell, const BackwardSteps<T>& run, const Share& rows) {
    const ptrdiff_t H = cell.hidden_size();
    if (cell.gradients().weight_hh != nullptr)
        pack_right(cell, run, rows, cell.memory.hh, cell.memory.gated, [&](ptrdiff_t i, ptrdiff_t, ptrdiff_t) {
            return run.saved + ((i - run.saved_first_row) * 4 + 3) * H;
        });
}

// The recurrence over one chunk, for the batch rows or the hidden units of this thread.
template <class T>
void run_chunk(const BackwardCell<T>& cell, BackwardSteps<T> run, int thread, int threads) {
    const Steps& steps = cell.memory.steps;
    const int parts = cell.parts_of_columns(threads);
    const bool splits = parts > 1;
    const Share vectors(cell.memory.hh.vectors, splits ? thread : 0, parts);
    const ptrdiff_t begin = run.is_reverse ? steps.count - run.step_end : run.step_begin;
    const ptrdiff_t end = begin + run.step_end - run.step_begin;
    run.vector_begin = vectors.begin;
    run.vector_end = vectors.end;
    run.threads = splits ? threads : 1;
    run.row_begin = splits ? 0 : dividing_row(steps, begin, end, thread, threads);
    run.row_end = splits ? cell.call.batch.rows : dividing_row(steps, begin, end, thread + 1, threads);
    cell.reset_after() ? cell.kernels.backward_steps(run) : reset_before_kernels<T>(cell.table).backward_steps(run);
}

// Keeps one thread's share of the gate gradients that the next chunk begins with: those of the step processed last.
template <class T>
void keep_last_step(const BackwardCell<T>& cell, const BackwardSteps<T>& run, int thread, int threads) {
    const Steps& steps = cell.memory.steps;
    const ptrdiff_t padded = cell.padded(), t = run.is_reverse ? steps.count - 1 - run.step_begin : run.step_begin;
    const Share rows(steps.active(t), thread, threads);
    const T* from = run.d_gates + (steps.first_row[t] - run.first_row) * run.gate_stride + padded;
    for (ptrdiff_t b = rows.begin; b < rows.end; ++b)
        memcpy(cell.memory.later_d_gates + b * run.gate_stride, from + b * run.gate_stride,
               size_t((cell.reset_after() ? 3 : 2) * padded) * sizeof(T));
}

template <class T>
void add_input_gradient(const BackwardCell<T>& cell, const BackwardSteps<T>& run, const Share& rows) {
    const BackwardMemory<T>& memory = cell.memory;
    for_flat_rows(memory.steps, run.first_row + rows.begin, run.first_row + rows.end,
                  [&](ptrdiff_t i, ptrdiff_t t, ptrdiff_t b) {
                      memory.d_input_rows[i - run.first_row] = cell.d_input.at(memory.steps, t, b);
                  });
    cell.kernels.input_gradient({.d_gates = run.d_gates,
                                 .gate_stride = run.gate_stride,
                                 .hidden_size = run.hidden_size,
                                 .weight = memory.ih.weight,
                                 .K = memory.ih.width,
                                 .d_input = memory.d_input_rows,
                                 .accumulate = cell.direction == 1},
                                rows.begin, rows.end);
}

// One thread's share of the products with the gate gradients of a chunk of so many rows.
template <class T>
void use_chunk(const BackwardCell<T>& cell, const BackwardSteps<T>& run, ptrdiff_t rows, int thread, int threads) {
    if (rows == 0) return;  // all sequences are empty
    const BackwardMemory<T>& memory = cell.memory;
    const ptrdiff_t L = cell.kernels.lanes, blocks = cell.blocks();
    if (cell.d_input.data != nullptr) add_input_gradient(cell, run, Share(rows, thread, threads));
    const Share units(3 * blocks, thread, threads);
    const auto add_weight = [&](const Columns<T>& columns, const T* right, const T* d_gates, ptrdiff_t begin,
                                ptrdiff_t end) {
        cell.kernels.weight_gradient({.d_gates = d_gates,
                                      .gate_stride = run.gate_stride,
                                      .rows = rows,
                                      .units = 3 * cell.padded(),
                                      .right = right,
                                      .capacity = memory.capacity,
                                      .vectors = columns.vectors,
                                      .d_weight = columns.d_weight},
                                     begin * L, end * L);
    };
    const CellGradients<T>& wanted = cell.gradients();
    if (wanted.weight_ih != nullptr) add_weight(memory.ih, memory.ih.right, run.d_gates, units.begin, units.end);
    if (wanted.weight_hh != nullptr && cell.reset_after())
        add_weight(memory.hh, memory.hh.right, run.d_gates + cell.padded(), units.begin, units.end);
    if (wanted.weight_hh != nullptr && !cell.reset_after()) {
        add_weight(memory.hh, memory.gated, run.d_gates, min(units.begin, blocks), min(units.end, blocks));
        add_weight(memory.hh, memory.hh.right, run.d_gates, max(units.begin, blocks), max(units.end, blocks));
    }
    if (wanted.bias_ih != nullptr || wanted.bias_hh != nullptr) {
        const Share all((cell.reset_after() ? 4 : 3) * blocks, thread, threads);
        cell.kernels.bias_gradient(run.d_gates, run.gate_stride, rows, memory.d_bias, all.begin, all.end);
    }
}

}  // namespace fastgru
