// Weights into the panels of the backward pass, and the gradients of weights and biases out of theirs: the one
// place that knows the order of gates in them.
#pragma once

#include <initializer_list>

#include "host/backward_cell.h"

namespace fastgru {

// Gate of torch's order (r, z, n) that stands in place `group` of the packed rows.
constexpr int kInputGate[3] = {2, 0, 1};   // n, r, z: as the first three groups of the gate gradients
constexpr int kHiddenGate[3] = {0, 1, 2};  // r, z, n: as the last three

// Without reset_after there are only the first three.
template <class T>
const int (&hidden_gates(const BackwardCell<T>& cell))[3] {
    return cell.reset_after() ? kHiddenGate : kInputGate;
}

// The rows of a (3H, columns) weight in the order of three groups of gate gradients, padded with null. Panels are
// those of `parts` threads that divide the columns, each of at most so many vectors.
template <class T>
void pack_weight(const BackwardCell<T>& cell, const T* weight, const int (&gates)[3], const Columns<T>& columns,
                 const T** rows, const Share& share, int parts, ptrdiff_t panel_vectors) {
    const ptrdiff_t H = cell.hidden_size(), padded = cell.padded();
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const ptrdiff_t unit = i % padded, gate = gates[i / padded];
        rows[i] = unit < H ? weight + (gate * H + unit) * columns.width : nullptr;
    }
    for (int part = 0; part < parts; ++part) {
        const Share vectors(columns.vectors, part, parts);
        cell.kernels.pack_rows({.row = rows,
                                .rows = 3 * padded,
                                .K = columns.width,
                                .packed = columns.weight,
                                .panel_vectors = panel_vectors,
                                .begin = share.begin,
                                .end = share.end},
                               vectors.begin, vectors.end);
    }
}

// One thread's share of what comes before the first chunk.
template <class T>
void pack_weights(const BackwardCell<T>& cell, int thread, int threads) {
    const BackwardMemory<T>& memory = cell.memory;
    const ptrdiff_t depth = 3 * cell.padded();
    const Share share(depth, thread, threads);
    const Cell<T>& weights = cell.weights();
    pack_weight(cell, weights.weight_hh, hidden_gates(cell), memory.hh, memory.weight_rows, share,
                cell.parts_of_columns(threads), panel_vectors(cell.call.batch.rows));
    if (cell.d_input.data != nullptr)
        pack_weight(cell, weights.weight_ih, kInputGate, memory.ih, memory.weight_rows + depth, share, 1,
                    kPanelVectors);
    if (cell.call.recomputes)
        pack_cell(cell.table, weights, cell.call.spec, cell.width(), memory.pack,
                  Share(cell.blocks(), thread, threads));
}

template <class T>
void clear_gradients(const BackwardCell<T>& cell, int thread, int threads) {
    const BackwardMemory<T>& memory = cell.memory;
    for (const Columns<T>* columns : {&memory.ih, &memory.hh}) {
        const Share values(columns->panel_values(3 * cell.padded(), cell.kernels.lanes), thread, threads);
        memset(columns->d_weight + values.begin, 0, size_t(values.end - values.begin) * sizeof(T));
    }
    if (thread == 0) memset(memory.d_bias, 0, size_t(4 * cell.padded()) * sizeof(T));
}

// From panels to torch's (3H, columns), rows r, z, n.
template <class T>
void write_weight(const BackwardCell<T>& cell, const Columns<T>& columns, const int (&gates)[3], T* d_weight,
                  const Share& share) {
    const ptrdiff_t H = cell.hidden_size(), padded = cell.padded(), L = cell.kernels.lanes;
    const EqualParts panels(0, columns.vectors, kPanelVectors);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const ptrdiff_t group = i / H, unit = group * padded + i % H;
        T* row = d_weight + (gates[group] * H + i % H) * columns.width;
        panels.for_each([&](ptrdiff_t vector, ptrdiff_t width) {
            const T* from = columns.d_weight + (vector * 3 * padded + unit * width) * L;
            const ptrdiff_t count = min(width * L, columns.width - vector * L);
            memcpy(row + vector * L, from, size_t(count) * sizeof(T));
        });
    }
}

template <class T>
void write_bias(const BackwardCell<T>& cell, const int (&gates)[3], const T* groups, T* d_bias) {
    const ptrdiff_t H = cell.hidden_size();
    for (int group = 0; group < 3; ++group)
        memcpy(d_bias + gates[group] * H, groups + group * cell.padded(), size_t(H) * sizeof(T));
}

// One thread's share of what comes after the last chunk.
template <class T>
void write_gradients(const BackwardCell<T>& cell, int thread, int threads) {
    const BackwardMemory<T>& memory = cell.memory;
    const CellGradients<T>& to = cell.gradients();
    const Share share(3 * cell.hidden_size(), thread, threads);
    if (to.weight_ih != nullptr) write_weight(cell, memory.ih, kInputGate, to.weight_ih, share);
    if (to.weight_hh != nullptr) write_weight(cell, memory.hh, hidden_gates(cell), to.weight_hh, share);
    if (thread != 0) return;
    if (to.bias_ih != nullptr) write_bias(cell, kInputGate, memory.d_bias, to.bias_ih);
    if (to.bias_hh != nullptr) {
        const ptrdiff_t first = cell.reset_after() ? cell.padded() : 0;
        write_bias(cell, hidden_gates(cell), memory.d_bias + first, to.bias_hh);
    }
}

}  // namespace fastgru
