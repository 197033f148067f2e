// Second derivatives of all directions of a layer. They stand one after another in each array, from the first
// one's, which a call is given; threads share the rows of each. As in run_calls.h, bytes that were lacking are
// returned.
#pragma once

#include <string.h>

#include "fastgru.h"
#include "host/plan.h"
#include "host/threads.h"
#include "host/workspace.h"

namespace fastgru {

template <class P>
void skip(P*& pointer, ptrdiff_t values) {
    if (pointer != nullptr) pointer += values;
}

// That of direction g; `zeros` [H] stand in for the tangent of a start that does not move.
template <class T>
TangentSteps<T> direction_of(const TangentSteps<T>& first, ptrdiff_t g, const T* zeros) {
    TangentSteps<T> call = first;
    const ptrdiff_t H = call.hidden_size, every = call.steps * call.rows;
    skip(call.alive, g * every);
    skip(call.weight, g * 3 * H * H), skip(call.d_weight, g * 3 * H * H);
    skip(call.bias, g * 3 * H), skip(call.d_bias, g * 3 * H);
    skip(call.a, g * every * 3 * H), skip(call.d_a, g * every * 3 * H);
    skip(call.start, g * call.rows * H), skip(call.d_start, g * call.rows * H);
    skip(call.states, g * every * H), skip(call.d_states, g * every * H);
    skip(call.gates, g * every * 8 * H);
    if (call.d_start == nullptr) call.d_start = zeros;
    return call;
}

template <class T>
TangentBackSteps<T> direction_of(const TangentBackSteps<T>& first, ptrdiff_t g, const TangentSteps<T>& there) {
    TangentBackSteps<T> call = first;
    const ptrdiff_t H = there.hidden_size, every = there.steps * there.rows;
    call.there = &there;
    call.weight = there.weight, call.d_weight = there.d_weight;
    skip(call.g_states, g * every * H), skip(call.d_g_states, g * every * H);
    skip(call.g_a, g * every * 3 * H), skip(call.d_g_a, g * every * 3 * H);
    skip(call.g_c, g * every * 3 * H), skip(call.d_g_c, g * every * 3 * H);
    skip(call.d_g_start, g * there.rows * H);
    return call;
}

template <class Call>
size_t run_direction(const KernelTable& table, const Call& call, int threads) {
    const size_t bytes = workspace_bytes(table, call);
    const Block workspace(bytes);
    if (workspace.data() == nullptr) return bytes;
    run(table, call, threads, workspace.data());
    return 0;
}

// visit(direction, its steps, threads) for one after another, until it returns bytes that it lacked.
template <class T, class Visit>
size_t for_directions(const TangentSteps<T>& first, ptrdiff_t directions, int threads, const Visit& visit) {
    const ptrdiff_t H = first.hidden_size;
    const Spec one{.input_size = H, .hidden_size = H, .num_layers = 1, .num_directions = 1};
    const Batch batch{.steps = first.steps, .rows = first.rows};
    const double each = product_microseconds(one, batch, sizeof(T));
    const Team team(threads, each * double(directions));
    const int own = threads_for_calls(first.rows, each / double(first.rows), team.threads(), team.is_awake());
    const size_t row_bytes = size_t(H) * sizeof(T);
    const Block zeros(row_bytes);
    if (zeros.data() == nullptr) return row_bytes;
    memset(zeros.data(), 0, row_bytes);
    size_t lacking = 0;
    for (ptrdiff_t g = 0; g < directions && lacking == 0; ++g)
        lacking = visit(g, direction_of(first, g, static_cast<const T*>(zeros.data())), own);
    return lacking;
}

template <class T>
size_t run_directions(const KernelTable& table, ptrdiff_t directions, const TangentSteps<T>& first, int threads) {
    return for_directions(first, directions, threads, [&](ptrdiff_t, const TangentSteps<T>& call, int own) {
        return run_direction(table, call, own);
    });
}

// `there` is what was run forward; `first.there` and the weights need not be filled in.
template <class T>
size_t run_directions(const KernelTable& table, ptrdiff_t directions, const TangentSteps<T>& there,
                      const TangentBackSteps<T>& first, int threads) {
    return for_directions(there, directions, threads, [&](ptrdiff_t g, const TangentSteps<T>& own_there, int own) {
        return run_direction(table, direction_of(first, g, own_there), own);
    });
}

}  // namespace fastgru
