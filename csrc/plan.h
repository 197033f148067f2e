// How a call is cut into pieces: arithmetic on sizes, nothing else. Every threshold of the core stands in plan.cpp.
#pragma once

#include "fastgru.h"

namespace fastgru {

// Sizes of one layer of a call.
struct LayerShape {
    ptrdiff_t steps, batch, total;  // T, B, N
    ptrdiff_t width, hidden_size, directions;
    ptrdiff_t lanes, tile_rows;  // of the kernels
    size_t value_bytes;
    int threads;    // at most
    bool is_awake;  // threads take work at once
    bool is_ragged;

    ptrdiff_t blocks() const { return (hidden_size + lanes - 1) / lanes; }
};

struct ForwardPlan {
    int threads;
    bool splits_columns;    // threads share the hidden units of every row; else they take rows
    bool is_pipelined;      // one thread goes through the steps, the others project the inputs ahead of it
    ptrdiff_t group_rows;   // batch rows that go through the sequence together
    ptrdiff_t chunk_steps;  // steps projected at once
};

struct BackwardPlan {
    int threads;
    bool splits_columns;
    ptrdiff_t group_rows;
    // Depends on sizes alone, never on the threads: it sets the order in which weight gradients are summed.
    ptrdiff_t chunk_steps;
};

// About what one thread takes for the products of a forward pass at its best.
double product_microseconds(const Spec& spec, const Batch& batch, size_t value_bytes);

ForwardPlan plan_forward(const LayerShape& shape);
BackwardPlan plan_backward(const LayerShape& shape);

// Vectors per panel for a product with `columns` columns: as many as fit the register tile without padding much.
int panel_vectors(ptrdiff_t columns, ptrdiff_t lanes);

}  // namespace fastgru
