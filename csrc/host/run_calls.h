// Calls from beginning to end: what chooses their threads and gives them scratch memory.
//
// The caller says which table of kernels runs, for it may have packed parameters with that of one level. Where a
// function returns bytes, so many were lacking, and nothing has run; 0: the call is done.
#pragma once

#include "fastgru.h"
#include "host/plan.h"
#include "host/threads.h"
#include "host/workspace.h"

namespace fastgru {

// About what one thread takes.
template <class Call>
double call_microseconds(const Call& call) {
    return product_microseconds(call.spec, call.batch, Call::value_bytes);
}

// `call.threads` are the most that may work at it. `workspace` is of most_workspace_bytes.
template <class Call>
void run_call(const KernelTable& table, Call call, void* workspace) {
    const Team team(call.threads, call_microseconds(call));
    call.threads = team.threads();
    call.is_awake = team.is_awake();
    run(table, call, workspace);
}

// The same in memory from the pool.
template <class Call>
size_t run_call(const KernelTable& table, Call call) {
    const Team team(call.threads, call_microseconds(call));
    call.threads = team.threads();
    call.is_awake = team.is_awake();
    const size_t bytes = workspace_bytes(table, call);
    const Block workspace(bytes);
    if (workspace.data() == nullptr) return bytes;
    run(table, call, workspace.data());
    return 0;
}

// Enough scratch memory for any team that the call may get.
template <class Call>
size_t most_workspace_bytes(const KernelTable& table, Call call) {
    size_t most = 0;
    for (int threads = call.threads; threads > 0; --threads) {
        for (const bool is_awake : {false, true}) {
            call.threads = threads;
            call.is_awake = is_awake;
            const size_t bytes = workspace_bytes(table, call);
            most = bytes > most ? bytes : most;
        }
    }
    return most;
}

// Calls of one size: threads take whole ones, each on its own. There is nothing to wait for, and the bits of one
// call are those of any division.
template <class Call>
size_t run_calls(const KernelTable& table, Call* calls, ptrdiff_t count, int threads) {
    const double each = call_microseconds(calls[0]);
    const Team team(threads, each * double(count));
    size_t bytes = kAlignment;
    for (ptrdiff_t i = 0; i < count; ++i) {
        calls[i].threads = 1;
        const size_t own = workspace_bytes(table, calls[i]);
        bytes = own > bytes ? own : bytes;
    }
    bytes = aligned(bytes);
    const int workers = threads_for_calls(count, each, team.threads(), team.is_awake());
    const Block workspace(bytes * size_t(workers));
    if (workspace.data() == nullptr) return bytes * size_t(workers);
    WorkQueue queue;
    on_threads(workers, [&](int thread, int) {
        for (ptrdiff_t i = queue.take(); i < count; i = queue.take())
            run(table, calls[i], static_cast<char*>(workspace.data()) + size_t(thread) * bytes);
    });
    return 0;
}

}  // namespace fastgru
