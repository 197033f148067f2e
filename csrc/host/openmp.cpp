#include "host/openmp.h"

#include <atomic>

#include "host/platform.h"
#include "shared/integer_math.h"

namespace fastgru {

namespace {

// What GNU's library is called with by compiled programs; others for Linux have the same functions.
struct OpenMP {
    void (*parallel)(void (*work)(void*), void* context, unsigned threads, unsigned flags);
    int (*most_threads)();
    int (*threads)();
    int (*thread)();

    bool is_whole() const { return parallel && most_threads && threads && thread; }
};

// Looking for a name in all libraries of a process takes a microsecond or two, so only one of so many calls does.
constexpr unsigned kCallsBetweenLooks = 256;

std::atomic<const OpenMP*> known{nullptr};
std::atomic<unsigned> calls{0};

template <class Function>
void look_up(const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(find_function(name));
}

void look_for_openmp() {
    OpenMP found;
    look_up("GOMP_parallel", found.parallel);
    look_up("omp_get_max_threads", found.most_threads);
    look_up("omp_get_num_threads", found.threads);
    look_up("omp_get_thread_num", found.thread);
    if (!found.is_whole()) return;
    static const OpenMP kept = found;
    known.store(&kept, std::memory_order_release);
}

struct Region {
    const OpenMP& openmp;
    const SharedWork& work;
    int wanted;
};

void enter(void* context) {
    const Region& region = *static_cast<const Region*>(context);
    const int threads = int(min(region.openmp.threads(), region.wanted)), thread = region.openmp.thread();
    if (thread < threads) region.work.run(region.work.context, thread, threads);
}

}  // namespace

bool has_openmp() {
    if (known.load(std::memory_order_acquire) != nullptr) return true;
    if (calls.fetch_add(1, std::memory_order_relaxed) % kCallsBetweenLooks != 0) return false;
    look_for_openmp();
    return known.load(std::memory_order_acquire) != nullptr;
}

// GNU's library ends the threads that a region does not ask for, and the next region of torch, which asks for all,
// starts them anew. So all are asked for, and those that are not wanted return at once.
void run_on_openmp(int wanted, const SharedWork& work) {
    const OpenMP& openmp = *known.load(std::memory_order_acquire);
    Region region{openmp, work, wanted};
    openmp.parallel(enter, &region, unsigned(max(wanted, openmp.most_threads())), 0);
}

}  // namespace fastgru
