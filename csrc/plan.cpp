#include "plan.h"

namespace fastgru {

namespace {

ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }
ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
ptrdiff_t larger(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

// The projection of a chunk is written and read once; half the level-2 cache of today's cores keeps it near.
constexpr ptrdiff_t kProjectionBytes = 512 * 1024;
// Gate gradients of a chunk. Long chunks amortise the pass over the weight gradients, short ones stay in cache.
constexpr ptrdiff_t kGradientBytes = 1024 * 1024;
constexpr ptrdiff_t kGradientRows = 256;

// Work below which threads cost more than they bring. A team that is awake forks and joins in 1 us; one that
// sleeps, as between the calls of a stream, takes 45 to 85 us to wake.
constexpr double kFlopsPerMicrosecond = 1e5;
constexpr double kBytesPerMicrosecond = 9e4;
constexpr double kThreadedMicroseconds = 25;
constexpr double kThreadedMicrosecondsOneStep = 200;
constexpr double kThreadedMicrosecondsAwake = 15;

// Steps of a pipeline's chunks: enough of them that the first, which nobody works ahead of, is short.
constexpr ptrdiff_t kPipelineChunks = 6;

// A single thread's time: that of the products or, where few rows share them, that of reading the weights.
double forward_microseconds(const LayerShape& shape) {
    const double weights = 3.0 * double(shape.hidden_size) * double(shape.width + shape.hidden_size);
    const double bytes = double(shape.value_bytes);
    const double products = 2 * weights * double(shape.total) * bytes / 4 / kFlopsPerMicrosecond;
    const double reading = weights * bytes / kBytesPerMicrosecond;
    return double(shape.directions) * (products > reading ? products : reading);
}

// Rows are shared out without any waiting, so they come first; hidden units are shared out, with a wait at every
// step, where rows are too few to fill tiles and a step is long against the wait (0.2 us).
bool columns_pay(const LayerShape& shape, int threads) {
    if (threads == 1 || shape.blocks() < 2 * threads) return false;
    if (shape.batch * shape.directions < threads) return shape.hidden_size >= 128;
    if (shape.directions >= threads) return false;
    if (shape.batch < shape.tile_rows * threads) return shape.hidden_size >= 512;
    return shape.hidden_size >= 1024;
}

int threads_for(const LayerShape& shape, double microseconds) {
    const double asleep = shape.steps == 1 ? kThreadedMicrosecondsOneStep : kThreadedMicroseconds;
    return microseconds < (shape.is_awake ? kThreadedMicrosecondsAwake : asleep) ? 1 : shape.threads;
}

// Batch rows per work item when rows are shared out.
ptrdiff_t rows_per_group(const LayerShape& shape, ptrdiff_t items) {
    if (shape.is_ragged) return shape.tile_rows;
    const ptrdiff_t rows = ceil_div(shape.batch, larger(1, items));
    const ptrdiff_t half_tile = larger(1, shape.tile_rows / 2);
    return rows < half_tile ? rows : ceil_div(rows, half_tile) * half_tile;
}

}  // namespace

double product_microseconds(const Spec& spec, const Batch& batch, size_t value_bytes) {
    double weights = 0;
    for (ptrdiff_t layer = 0; layer < spec.num_layers; ++layer)
        weights += 3.0 * double(spec.hidden_size * spec.num_directions * (spec.width(layer) + spec.hidden_size));
    return 2 * weights * double(batch.total()) * double(value_bytes) / 4 / kFlopsPerMicrosecond;
}

ForwardPlan plan_forward(const LayerShape& shape) {
    ForwardPlan plan;
    plan.threads = threads_for(shape, forward_microseconds(shape));
    plan.splits_columns = columns_pay(shape, plan.threads);
    const ptrdiff_t row_bytes = 3 * shape.blocks() * shape.lanes * ptrdiff_t(shape.value_bytes);
    const ptrdiff_t rows_at_once = larger(shape.tile_rows, kProjectionBytes / row_bytes);
    const ptrdiff_t groups = plan.splits_columns ? 1 : ceil_div(plan.threads, shape.directions);
    plan.group_rows = smaller(rows_per_group(shape, groups), rows_at_once / shape.tile_rows * shape.tile_rows);
    const ptrdiff_t items = ceil_div(shape.batch, plan.group_rows) * shape.directions;
    plan.chunk_steps = smaller(shape.steps, larger(1, rows_at_once / plan.group_rows));
    plan.is_pipelined =
        !plan.splits_columns && items == 1 && plan.threads > 1 && shape.steps >= 4 * shape.tile_rows;
    if (plan.is_pipelined)
        plan.chunk_steps = smaller(
            plan.chunk_steps, ceil_div(ceil_div(shape.steps, kPipelineChunks), shape.tile_rows) * shape.tile_rows);
    else if (!plan.splits_columns && items < plan.threads)
        plan.threads = int(items);
    return plan;
}

BackwardPlan plan_backward(const LayerShape& shape) {
    BackwardPlan plan;
    plan.threads = threads_for(shape, 2 * forward_microseconds(shape) / double(shape.directions));
    LayerShape one_direction = shape;
    one_direction.directions = 1;
    plan.splits_columns = columns_pay(one_direction, plan.threads);
    plan.group_rows = plan.splits_columns ? shape.batch : rows_per_group(shape, plan.threads);
    const ptrdiff_t row_bytes = 4 * shape.blocks() * shape.lanes * ptrdiff_t(shape.value_bytes);
    const ptrdiff_t rows = larger(kGradientRows, kGradientBytes / row_bytes);
    plan.chunk_steps = smaller(shape.steps, larger(1, rows / shape.batch));
    return plan;
}

int panel_vectors(ptrdiff_t columns, ptrdiff_t lanes) {
    const ptrdiff_t vectors = ceil_div(columns, lanes);
    const ptrdiff_t padded_by_two = ceil_div(vectors, 2) * 2, padded_by_three = ceil_div(vectors, 3) * 3;
    if (vectors == 1) return 1;
    return padded_by_three <= padded_by_two ? 3 : 2;
}

}  // namespace fastgru
