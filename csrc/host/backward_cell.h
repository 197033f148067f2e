// One layer and direction of a backward call, as its threads see it.
#pragma once

#include "host/backward_memory.h"
#include "shared/reset_before_table.h"

namespace fastgru {

template <class T>
struct BackwardCell {
    const KernelTable& table;
    const Kernels<T>& kernels;
    const Backward<T>& call;
    const BackwardMemory<T>& memory;
    BackwardPlan plan;
    ptrdiff_t layer, direction;
    Sequence<const T> input, d_output;
    Sequence<const T> output;  // of this layer
    Sequence<T> d_input;       // null data: not wanted

    bool reset_after() const { return call.spec.reset_after; }
    ptrdiff_t hidden_size() const { return call.spec.hidden_size; }
    ptrdiff_t width() const { return call.spec.width(layer); }
    ptrdiff_t blocks() const { return kernels.blocks(hidden_size()); }
    ptrdiff_t padded() const { return blocks() * kernels.lanes; }  // Hp
    // Among how many threads the columns of the recurrent weights are divided.
    int parts_of_columns(int threads) const { return plan.partition == Partition::columns ? threads : 1; }
    ptrdiff_t index() const { return layer * call.spec.num_directions + direction; }
    const Cell<T>& weights() const { return call.cells[index()]; }
    const CellGradients<T>& gradients() const { return call.d_cells[index()]; }
};

}  // namespace fastgru
