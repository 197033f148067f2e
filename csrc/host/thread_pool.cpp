#include "host/thread_pool.h"

#include <mutex>
#include <new>

#include "host/platform.h"
#include "host/wait_word.h"

namespace fastgru {

namespace {

// How long a thread spins before it sleeps. Waking it takes 45 to 85 us where its core sleeps as well.
constexpr int64_t kPatience = 200 * kMicrosecond;
constexpr int kMostThreads = 255;
constexpr uint32_t kWaits = 0, kWorks = 1;

struct alignas(64) Thread {
    WaitWord state;
    SharedWork work{};
    int number = 0, threads = 0;  // of those that take part
    Thread* next = nullptr;       // of the same team, or of those without work
};

// Never destroyed: its threads sleep in it until the process ends.
struct Pool {
    std::mutex mutex;
    Thread threads[kMostThreads];
    int started = 0;
    Thread* idle = nullptr;  // those that worked last first, for they may be awake
};
Pool pool;

// A caller that fell asleep before its helper was done is on a crowded machine, and may want this very core.
[[noreturn]] void serve(Thread& own) noexcept {
    for (int64_t patience = kPatience;;) {
        own.state.wait_while(kWaits, patience);
        own.work.run(own.work.context, own.number, own.threads);
        patience = own.state.set(kWaits) ? 0 : kPatience;
    }
}

// A new thread, or null where there are enough or the system gives none.
Thread* new_thread() {
    if (pool.started == kMostThreads) return nullptr;
    Thread& own = pool.threads[pool.started];
    if (!start_thread([](void* thread) { serve(*static_cast<Thread*>(thread)); }, &own)) return nullptr;
    ++pool.started;
    return &own;
}

Thread* take_thread() {
    Thread* own = pool.idle;
    if (own == nullptr) return new_thread();
    pool.idle = own->next;
    return own;
}

// Threads that help with one piece of work. They keep their order, so that each gets the same part of the next work
// and finds what it needs in its core's cache.
class Helpers {
  public:
    explicit Helpers(int wanted) {
        const std::lock_guard<std::mutex> lock(pool.mutex);
        Thread** end = &first_;
        for (; count_ < wanted && (*end = take_thread()) != nullptr; ++count_) {
            last_ = *end;
            end = &last_->next;
        }
        *end = nullptr;
    }
    ~Helpers() {
        if (first_ == nullptr) return;
        const std::lock_guard<std::mutex> lock(pool.mutex);
        last_->next = pool.idle;
        pool.idle = first_;
    }
    Helpers(const Helpers&) = delete;
    Helpers& operator=(const Helpers&) = delete;

    int count() const { return count_; }

    void begin(const SharedWork& work) const {
        int number = 0;
        for (Thread* helper = first_; helper != nullptr; helper = helper->next) {
            helper->work = work;
            helper->number = ++number;
            helper->threads = count_ + 1;
            helper->state.set(kWorks);
        }
    }
    void wait() const {
        for (Thread* helper = first_; helper != nullptr; helper = helper->next)
            helper->state.wait_while(kWorks, kPatience);
    }

  private:
    Thread *first_ = nullptr, *last_ = nullptr;
    int count_ = 0;
};

}  // namespace

void run_on_pool(int wanted, const SharedWork& work) {
    const Helpers helpers(wanted - 1);
    helpers.begin(work);
    work.run(work.context, 0, helpers.count() + 1);
    helpers.wait();
}

void lock_threads() { pool.mutex.lock(); }
void unlock_threads() { pool.mutex.unlock(); }

void forget_threads() {
    for (Thread& thread : pool.threads) new (&thread) Thread;
    pool.started = 0;
    pool.idle = nullptr;
}

}  // namespace fastgru
