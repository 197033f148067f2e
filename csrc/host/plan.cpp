#include "host/plan.h"

#include <bit>
#include <initializer_list>

namespace fastgru {

namespace {

double larger(double a, double b) { return a > b ? a : b; }

// The projection of a chunk is written and read once; half the level-2 cache of today's cores keeps it near.
constexpr ptrdiff_t kProjectionBytes = 512 * 1024;
// Wide layers' weights come from a far cache; then that matters less than how many rows they serve on each way.
constexpr ptrdiff_t kProjectionRows = 128;
// A layer is small if its weights leave room in the nearest cache, its hidden units are those of few vectors, and
// its inputs are not so many that projecting them step by step would take longest.
constexpr ptrdiff_t kSmallBytes = 24 * 1024, kSmallBlocks = 4, kSmallWidth = 3;
// Gate gradients of a chunk. Long chunks amortise the pass over the weight gradients, short ones stay in the cache,
// with the vectors that they are multiplied with.
constexpr ptrdiff_t kGradientBytes = 128 * 1024;
constexpr ptrdiff_t kGradientRows = 64;
// Chunks of a sequence whose inputs are projected ahead: the first, which nobody works ahead of, is short.
constexpr ptrdiff_t kChunksAhead = 6;

// Chunks of a sequence when layers run at once: the last layer begins when the others have computed one each.
constexpr ptrdiff_t kChunksOfLayers = 12;
// And what part of the time of layers in turn they may take: where the two are near, neither is sure to be faster.
constexpr double kMostOfTurns = 0.95;
// A line that one layer writes and another thread reads: more between cores that share no cache (plan.md).
constexpr double kLine = 0.03, kLineBytes = 64;

// The estimate of what each partition takes, in microseconds. Its constants are fitted to the figures in plan.md.
constexpr double kFlopsPerMicrosecond = 1e5;
// A step takes no less than that of so many rows: few of them do not fill the multipliers, and weights have to come
// from the nearest cache that holds them.
constexpr double kLeastRows = 2.1, kLeastRowsFar = 3.7, kLeastRowsMemory = 12;
// And no less than the chain of its dependent instructions.
constexpr double kLeastStep = 0.05;
constexpr double kNearBytes = 1 << 20, kFarBytes = 32 << 20;
// Waiting for each other after a step, for each thread.
constexpr double kWait = 0.1;
// Reading a projection from another core's cache takes this part of the time of computing it.
constexpr double kFetch = 0.2;
// Starting threads. A team that is awake forks and joins in 1 us; one that sleeps takes 45 to 85 us to wake, and
// only then helps. Single steps that come one by one would find it asleep every time.
constexpr double kStart = 12, kStartAwake = 4, kStartOneStep = 100;
// For each thread beyond two that the call may have, for OpenMP starts them all (openmp.cpp). What the constants
// above are fitted to had two.
constexpr double kStartEach = 1, kStartEachAwake = 0.1;
// And of what each further one could save if all work were divided, it must save this part.
constexpr double kWorth = 0.25;
// Meetings of all threads that are no part of a step: of `ahead` in all, of the backward pass in each chunk.
constexpr double kMeetingsAhead = kChunksAhead + 1, kMeetingsBackward = 3;

// What one direction of a layer takes.
struct Estimate {
    double row;      // of a step's products with the recurrent weights
    double project;  // of one row
    double bytes;    // recurrent weights
    double steps, batch, total;
    double waits;  // in a step

    explicit Estimate(const LayerShape& shape)
        : row(6 * double(shape.hidden_size * shape.hidden_size) * double(shape.value_bytes) / 4 *
              shape.product_time / kFlopsPerMicrosecond),
          project(row * double(shape.width) / double(shape.hidden_size)),
          bytes(3 * double(shape.hidden_size * shape.hidden_size) * double(shape.weight_bytes)),
          steps(double(shape.steps)),
          batch(double(shape.total) / double(shape.steps)),
          total(double(shape.total)),
          waits(double(shape.waits)) {}

    // Steps of `rows` rows by `threads` threads that share the units.
    double recurrence(double rows, double threads = 1) const {
        const double own = bytes / threads;
        const double least = own <= kNearBytes ? kLeastRows : own <= kFarBytes ? kLeastRowsFar : kLeastRowsMemory;
        return steps * larger(row * larger(rows, least) / threads, kLeastStep);
    }
    double projection(double rows) const { return project * larger(rows * steps, kLeastRows); }
    double wait(double threads) const { return steps * waits * kWait * threads; }
    // Of the threads beyond two.
    static double meet(double meetings, double threads) { return meetings * kWait * (threads - 2); }
};

// The rows of the fullest of `parts` groups.
double rows_of_part(const LayerShape& shape, const Estimate& one, ptrdiff_t parts) {
    return shape.is_ragged ? one.batch / double(parts) : double(ceil_div(shape.batch, parts));
}

ptrdiff_t groups_for(const LayerShape& shape, int threads) {
    return min(shape.batch, ceil_div(threads, shape.directions));
}

bool is_possible(const LayerShape& shape, Partition partition, int threads) {
    if (partition == Partition::rows) return groups_for(shape, threads) * shape.directions > 1;
    if (partition == Partition::columns) return shape.blocks() >= threads;
    return shape.directions == 1 && shape.steps >= 4 * shape.tile_rows;
}

// Whether so many rows of a layer may be computed by its kernel for small layers.
bool is_small(const LayerShape& shape, ptrdiff_t rows) {
    const ptrdiff_t columns = shape.width + shape.hidden_size;
    return rows <= shape.small_rows && shape.blocks() <= kSmallBlocks &&
           3 * shape.blocks() * shape.lanes * columns * ptrdiff_t(shape.value_bytes) <= kSmallBytes &&
           shape.width <= kSmallWidth * shape.hidden_size;
}

double forward_microseconds(const LayerShape& shape, Partition partition, int threads) {
    const Estimate one(shape);
    const double count = double(threads), directions = double(shape.directions);
    const double alone = one.projection(one.batch) + one.recurrence(one.batch);
    if (partition == Partition::alone) return directions * alone;
    if (partition == Partition::columns) {
        const double widest = double(ceil_div(shape.blocks(), threads)) / double(shape.blocks()) * count;
        return directions *
               (widest * (one.projection(one.batch) / count + one.recurrence(one.batch, count)) + one.wait(count));
    }
    if (partition == Partition::rows) {
        const ptrdiff_t groups = groups_for(shape, threads);
        const double rows = rows_of_part(shape, one, groups);
        return double(ceil_div(groups * shape.directions, threads)) * (one.projection(rows) + one.recurrence(rows));
    }
    return larger(one.recurrence(one.batch), alone / count) + kFetch * one.projection(one.batch) +
           one.meet(kMeetingsAhead, count);
}

ptrdiff_t gradient_steps(const LayerShape& shape) {
    const ptrdiff_t row_bytes = 4 * shape.hidden_size * ptrdiff_t(shape.value_bytes);
    const ptrdiff_t rows = max(kGradientRows, kGradientBytes / row_bytes);
    return min(shape.steps, max(1, rows / shape.batch));
}

// In how many equal parts so many threads divide the hidden blocks.
double block_shares(const LayerShape& shape, int threads) {
    return double(shape.blocks()) / double(ceil_div(shape.blocks(), threads));
}

double backward_microseconds(const LayerShape& shape, Partition partition, int threads) {
    const Estimate one(shape);
    const double count = double(threads);
    const double shared = 2 * one.projection(one.batch) + one.row * one.total;
    if (partition == Partition::alone) return shared + one.recurrence(one.batch);
    const double chunks = double(ceil_div(shape.steps, gradient_steps(shape)));
    const double all = shared / count + one.meet(chunks * kMeetingsBackward, count);
    if (partition == Partition::columns)
        return all + one.recurrence(one.batch, block_shares(shape, threads)) + one.wait(count);
    return all + one.recurrence(rows_of_part(shape, one, threads));
}

struct Choice {
    Partition partition;
    int threads;
    double microseconds = 0;  // by the estimate
};

double start_microseconds(int threads, bool is_awake, double asleep = kStart) {
    return is_awake ? kStartAwake + kStartEachAwake * (threads - 2) : asleep + kStartEach * (threads - 2);
}

// The next number of threads to be looked at: all up to 8, then four up to each power of two, and `most` in any
// case.
int next_team(int threads, int most) {
    const int next = threads + (threads < 8 ? 1 : int(std::bit_floor(unsigned(threads))) / 4);
    return threads < most && next > most ? most : next;
}

// What part of the time of a team a larger one may take to be worth its threads.
double most_of_least(int threads, int more) {
    return threads == 1 ? 1 : 1 - kWorth * double(more - threads) / double(more);
}

// The wanted partition with as many threads as it can have.
Choice wanted(const LayerShape& shape, std::initializer_list<Partition> partitions) {
    for (int threads = shape.threads; threads > 1; --threads)
        for (const Partition partition : partitions)
            if (partition == shape.partition && is_possible(shape, partition, threads)) return {partition, threads};
    return {Partition::alone, 1};
}

// The one of `partitions` and the number of threads with the smallest estimate; of equal ones, the fewest threads.
Choice choose(const LayerShape& shape, std::initializer_list<Partition> partitions,
              double (&microseconds)(const LayerShape&, Partition, int)) {
    Choice best{Partition::alone, 1};
    if (shape.threads <= 1) return best;
    if (shape.partition != Partition::best) return wanted(shape, partitions);
    double least = microseconds(shape, Partition::alone, 1);
    const double start =
        start_microseconds(shape.threads, shape.is_awake, shape.steps == 1 ? kStartOneStep : kStart);
    if (start >= least) return best;
    for (int threads = 2; threads <= shape.threads; threads = next_team(threads, shape.threads)) {
        for (const Partition partition : partitions) {
            if (!is_possible(shape, partition, threads)) continue;
            const double estimate = microseconds(shape, partition, threads) + start;
            if (estimate >= least * most_of_least(best.threads, threads)) continue;
            least = estimate;
            best = {partition, threads};
        }
    }
    best.microseconds = least;
    return best;
}

Choice choose_forward(const LayerShape& shape) {
    return choose(shape, {Partition::rows, Partition::columns, Partition::ahead}, forward_microseconds);
}

// Rows that are projected at once: as many as the level-2 cache holds.
ptrdiff_t rows_at_once(const LayerShape& shape) {
    const ptrdiff_t row_bytes = 3 * shape.blocks() * shape.lanes * ptrdiff_t(shape.value_bytes);
    return max(kProjectionRows, kProjectionBytes / row_bytes);
}

// Of layers one after another, each of which takes one(shape).
template <class Microseconds>
double in_turn(const LayerShape& first, const LayerShape& inner, ptrdiff_t layers, const Microseconds& one) {
    return one(first) + double(layers - 1) * one(inner);
}

// What layers take that run at once on so many threads, in chunks of so many.
double layers_microseconds(const LayerShape& first, const LayerShape& inner, ptrdiff_t layers, ptrdiff_t chunks,
                           int threads) {
    const double of_first = forward_microseconds(first, Partition::alone, 1);
    const double of_inner = forward_microseconds(inner, Partition::alone, 1);
    const double most = double(ceil_div(layers, threads)), rounds = double(chunks + layers - 1);
    const double slowest = larger(of_first + (most - 1) * of_inner, most * of_inner);
    const double bytes = double(threads - 1) * double(first.total * first.hidden_size) * double(first.value_bytes);
    return slowest * rounds / double(chunks) + double(chunks) * kWait + bytes / kLineBytes * kLine +
           start_microseconds(first.threads, first.is_awake);
}

}  // namespace

double product_microseconds(const Spec& spec, const Batch& batch, size_t value_bytes) {
    double weights = 0;
    for (ptrdiff_t layer = 0; layer < spec.num_layers; ++layer)
        weights += 3.0 * double(spec.hidden_size * spec.num_directions * (spec.width(layer) + spec.hidden_size));
    return 2 * weights * double(batch.total()) * double(value_bytes) / 4 / kFlopsPerMicrosecond;
}

ForwardPlan plan_forward(const LayerShape& shape) {
    const auto [partition, threads, microseconds] = choose_forward(shape);
    ForwardPlan plan{.partition = partition, .threads = threads};
    const ptrdiff_t most_rows = rows_at_once(shape);
    if (partition == Partition::rows) plan.groups = groups_for(shape, threads);
    plan.groups *= ceil_div(shape.batch, plan.groups * most_rows);
    if (partition == Partition::ahead) plan.groups = 1;
    plan.group_rows = shape.is_ragged ? shape.batch : ceil_div(shape.batch, plan.groups);
    const ptrdiff_t all = shape.steps * plan.group_rows;
    plan.chunk_rows = min(all, most_rows);
    if (partition == Partition::ahead)
        plan.chunk_rows =
            min(plan.chunk_rows, ceil_div(ceil_div(shape.total, kChunksAhead), shape.tile_rows) * shape.tile_rows);
    plan.chunk_rows = max(plan.chunk_rows, plan.group_rows);
    if (partition == Partition::rows) plan.threads = int(min(threads, plan.groups * shape.directions));
    plan.is_small =
        (partition == Partition::alone || partition == Partition::rows) && is_small(shape, plan.group_rows);
    return plan;
}

ForwardPlan plan_layers_at_once(const LayerShape& first, const LayerShape& inner, ptrdiff_t layers) {
    ForwardPlan plan{.partition = Partition::layers, .threads = 1};
    const bool is_wanted = first.partition == Partition::layers;
    if (layers < 2 || layers > kMostLayersAtOnce || first.directions > 1 || first.is_ragged ||
        first.steps < kChunksOfLayers || first.threads < 2 || !(is_wanted || first.partition == Partition::best))
        return plan;
    const ptrdiff_t steps = max(1, min(ceil_div(first.steps, kChunksOfLayers), rows_at_once(first) / first.batch));
    plan.group_rows = first.batch;
    plan.chunk_rows = steps * first.batch;
    const int most = int(min(first.threads, layers));
    if (is_wanted) plan.threads = most;
    const double alone = in_turn(first, inner, layers, [](const LayerShape& shape) {
        return forward_microseconds(shape, Partition::alone, 1);
    });
    double least = kMostOfTurns * alone;
    for (int threads = 2; threads <= most && !is_wanted; ++threads) {
        const double estimate = layers_microseconds(first, inner, layers, ceil_div(first.steps, steps), threads);
        if (estimate >= least * most_of_least(plan.threads, threads)) continue;
        least = estimate;
        plan.threads = threads;
    }
    if (is_wanted || plan.threads == 1) return plan;  // small calls end here and do not pay for the rest
    const double chosen =
        in_turn(first, inner, layers, [](const LayerShape& shape) { return choose_forward(shape).microseconds; });
    if (least >= kMostOfTurns * chosen) plan.threads = 1;
    return plan;
}

ForwardPlan plan_of_layer(ForwardPlan at_once, const LayerShape& shape) {
    at_once.is_small = is_small(shape, shape.batch);
    return at_once;
}

BackwardPlan plan_backward(const LayerShape& shape) {
    LayerShape one_direction = shape;
    one_direction.directions = 1;
    const auto [partition, threads, microseconds] =
        choose(one_direction, {Partition::rows, Partition::columns}, backward_microseconds);
    return {partition, threads, gradient_steps(shape)};
}

int threads_for_calls(ptrdiff_t calls, double microseconds, int most, bool is_awake) {
    int best = 1;
    double least = double(calls) * microseconds;
    const double start = start_microseconds(most, is_awake);
    if (calls < most) most = int(calls);
    for (int threads = 2; threads <= most; threads = next_team(threads, most)) {
        const double estimate = double(ceil_div(calls, threads)) * microseconds + start;
        if (estimate >= least * most_of_least(best, threads)) continue;
        least = estimate;
        best = threads;
    }
    return best;
}

}  // namespace fastgru
