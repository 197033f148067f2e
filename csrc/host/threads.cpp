#include "host/threads.h"

#include <thread>
#include <type_traits>

#include "host/openmp.h"
#include "host/platform.h"
#include "host/thread_pool.h"
#include "host/wait_word.h"
#include "host/workspace.h"
#include "shared/integer_math.h"

namespace fastgru {

namespace {

// GNU's OpenMP lets idle threads spin for some milliseconds before they sleep; our own spin for so long.
constexpr int64_t kAwake = 200 * kMicrosecond;
// Calls in such quick succession, or so much of their products, that waking the threads once is worth it.
constexpr int kStream = 16;
constexpr int64_t kStreamWork = 60 * kMicrosecond;
// Where other programs keep the cores busy, a call waits for a thread until the system gives it its turn, which
// takes milliseconds. Two calls within kMemory that lasted so much longer than they should are taken as a sign of
// that (one may be chance); for a while, calls shorter than such a wait then stay on one thread. As long as it
// lasts, what is left is one slow call in so much time.
constexpr double kMostTimesSlower = 8;
constexpr int64_t kLeastDelay = 1000 * kMicrosecond;
// Our own threads sleep, and wait for less than a whole turn of the others.
constexpr int64_t kLeastDelayOwn = 400 * kMicrosecond;
constexpr int64_t kCrowded = 100'000 * kMicrosecond;
constexpr int64_t kMemory = 2 * kCrowded;
constexpr double kShortMicroseconds = 5000;

// What a caller does between two calls takes less.
constexpr int64_t kBetweenCalls = 2000 * kMicrosecond;

int64_t last_end = 0;
int64_t last_threaded_end = 0;
int64_t crowded_until = 0;
int64_t last_delay = 0;
int calls_in_succession = 0;
int64_t work_in_succession = 0;
bool is_child = false;  // of a fork
int calls_now = 0;      // those that run
int helpers_now = 0;    // threads that help them
int last_others = 0;    // calls that ran beside another
int64_t last_others_time = 0;

// What is remembered only chooses between partitions with the same bits, so it may be read and written by several
// threads at once without an order; only not torn.
template <class V>
V read(const V& value) {
    return __atomic_load_n(&value, __ATOMIC_RELAXED);
}
template <class V>
void write(V& value, std::type_identity_t<V> now) {
    __atomic_store_n(&value, now, __ATOMIC_RELAXED);
}

void note_others(int others, int64_t time) {
    write(last_others, others);
    write(last_others_time, time);
}

// Whether a call that begins now, of so much work, goes on with a stream of calls.
bool is_stream(int64_t begin, int64_t work) {
    const bool is_first = begin - read(last_end) >= kAwake;
    const int calls = is_first ? 0 : int(min(read(calls_in_succession) + 1, kStream));
    const int64_t before = is_first ? 0 : read(work_in_succession);
    write(calls_in_succession, calls);
    write(work_in_succession, min(before + work, kStreamWork));
    return calls == kStream || before == kStreamWork;
}

// What a call that has just begun may have of the threads that it wants. One that is alone gets them all, others
// what is free. Those that ran a moment ago are between two calls, and will be back.
int free_threads(int wanted, int64_t begin) {
    int others = __atomic_fetch_add(&calls_now, 1, __ATOMIC_RELAXED);
    if (others > 0)
        note_others(others, begin);
    else if (begin - read(last_others_time) < kBetweenCalls)
        others = read(last_others);
    if (others == 0 || wanted == 1) return wanted;
    return int(min(wanted, max(1, usable_cores() - others - read(helpers_now))));
}

// In a child of a fork it would wait for the parent's threads for ever.
bool uses_openmp() { return !is_child && has_openmp(); }

// All that the core does at a fork, registered when the library is loaded: before it, in the parent after it, and
// in the child, where nobody else runs.
void before_fork() { lock_threads(), lock_pool(); }
void after_fork() { unlock_pool(), unlock_threads(); }
void after_fork_in_child() {
    after_fork();
    forget_threads();
    is_child = true;
    calls_now = helpers_now = 0;
}
[[maybe_unused]] const bool registered = call_at_forks(before_fork, after_fork, after_fork_in_child);

}  // namespace

void give_core_away() { std::this_thread::yield(); }

void run_on_threads(int wanted, const SharedWork& work) {
    __atomic_fetch_add(&helpers_now, wanted - 1, __ATOMIC_RELAXED);
    uses_openmp() ? run_on_openmp(wanted, work) : run_on_pool(wanted, work);
    __atomic_fetch_sub(&helpers_now, wanted - 1, __ATOMIC_RELAXED);
    write(last_threaded_end, now());
}

Team::Team(int wanted, double microseconds) : microseconds_(microseconds), threads_(wanted), begin_(now()) {
    is_awake_ =
        begin_ - read(last_threaded_end) < kAwake || is_stream(begin_, int64_t(microseconds * kMicrosecond));
    threads_ = free_threads(threads_, begin_);
    if (begin_ < read(crowded_until) && microseconds < kShortMicroseconds) threads_ = 1;
}

Team::~Team() {
    const int64_t end = now();
    const double least = double(uses_openmp() ? kLeastDelay : kLeastDelayOwn);
    const double most = kMostTimesSlower * microseconds_ * double(kMicrosecond) + least;
    // What one thread does is slow for other reasons: it waits for nobody.
    const bool had_team = threads_ > 1 && read(last_threaded_end) >= begin_;
    if (had_team && double(end - begin_) > most) {
        if (end - read(last_delay) < kMemory) write(crowded_until, end + kCrowded);
        write(last_delay, end);
    }
    write(last_end, end);
    const int others = __atomic_sub_fetch(&calls_now, 1, __ATOMIC_RELAXED);
    if (others > 0) note_others(others, end);
}

}  // namespace fastgru
