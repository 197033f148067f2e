// How a call is divided into pieces: arithmetic on sizes only. All fitted constants are in plan.cpp.
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
    bool is_awake;                     // threads start work immediately
    bool is_ragged;
    Partition partition;       // wanted
    double product_time = 1;   // that of products of floats is 1
    ptrdiff_t small_rows = 0;  // most rows of a SmallLayer; 0: the call is none for its kernel
    int waits = 1;             // of threads that share units, in a step

    ptrdiff_t blocks() const { return ceil_div(hidden_size, lanes); }
};

struct ForwardPlan {
    Partition partition;  // any but best
    int threads;
    ptrdiff_t groups = 1;      // of batch rows that are computed together; about equal work in each
    ptrdiff_t group_rows = 0;  // at most, in one of them
    // Rows of a group, of one or several steps, projected at once; at least those of one step.
    ptrdiff_t chunk_rows = 0;
    bool is_small = false;  // chunks are computed by Kernels::small_layer
};

// More layers than so many run one after another.
constexpr ptrdiff_t kMostLayersAtOnce = 8;

struct BackwardPlan {
    Partition partition;  // alone, rows or columns: for the recurrence; what remains of a chunk is always shared
    int threads;
    // Depends only on sizes, not on threads or lanes, because it determines the order in which weight gradients are
    // summed.
    ptrdiff_t chunk_steps;
};

// The approximate time of one thread for the products of a forward pass.
double product_microseconds(const Spec& spec, const Batch& batch, size_t value_bytes);

ForwardPlan plan_forward(const LayerShape& shape);
// Whether the layers of a stack run at once, and how: threads are 1 if not. `inner` are those after the first.
ForwardPlan plan_layers_at_once(const LayerShape& first, const LayerShape& inner, ptrdiff_t layers);
// That of one of them.
ForwardPlan plan_of_layer(ForwardPlan at_once, const LayerShape& shape);
BackwardPlan plan_backward(const LayerShape& shape);

// How many threads, at most `most`, take calls from a queue of so many that each take about so long.
int threads_for_calls(ptrdiff_t calls, double microseconds, int most, bool is_awake);

}  // namespace fastgru
