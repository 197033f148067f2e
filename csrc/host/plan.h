// How a call is cut into pieces: arithmetic on sizes, nothing else. Every constant that was fitted stands in
// plan.cpp.
#pragma once

#include "fastgru.h"

namespace fastgru {

// Sizes of one layer of a call.
struct LayerShape {
    ptrdiff_t steps, batch, total;  // T, B, N
    ptrdiff_t width, hidden_size, directions;
    ptrdiff_t lanes, tile_rows;        // of the kernels
    size_t value_bytes, weight_bytes;  // of a sum, and of a weight as it is packed
    int threads;                       // at most
    bool is_awake;                     // threads take work at once
    bool is_ragged;
    Partition partition;  // wanted

    ptrdiff_t blocks() const { return ceil_div(hidden_size, lanes); }
};

struct ForwardPlan {
    Partition partition;  // any but best
    int threads;
    ptrdiff_t groups;      // of batch rows that go through the sequence together; about equal work in each
    ptrdiff_t group_rows;  // at most, in one of them
    ptrdiff_t chunk_rows;  // rows of a group, of one step or several, projected at once; no fewer than of one step
};

struct BackwardPlan {
    Partition partition;  // alone, rows or columns: for the recurrence; what remains of a chunk is always shared
    int threads;
    // Depends on sizes alone, never on the threads: it sets the order in which weight gradients are summed.
    ptrdiff_t chunk_steps;
};

// About what one thread takes for the products of a forward pass at its best.
double product_microseconds(const Spec& spec, const Batch& batch, size_t value_bytes);

ForwardPlan plan_forward(const LayerShape& shape);
BackwardPlan plan_backward(const LayerShape& shape);

// How many threads, `most` at most, take whole calls from a queue: of so many that each take about so long.
int threads_for_calls(ptrdiff_t calls, double microseconds, int most, bool is_awake);

// Vectors per panel for a product with `columns` columns: as many as fit the register tile without padding much.
int panel_vectors(ptrdiff_t columns, ptrdiff_t lanes);

}  // namespace fastgru
