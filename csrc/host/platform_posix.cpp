#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <system_error>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#include <sys/auxv.h>
#endif

#include "host/platform.h"

namespace fastgru {

namespace {

// Signals are for the program's own threads. Only those by which the system reports an error of a thread stay.
class SignalsBlocked {
  public:
    SignalsBlocked() {
        sigset_t blocked;
        sigfillset(&blocked);
        for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&blocked, own);
        pthread_sigmask(SIG_BLOCK, &blocked, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  private:
    sigset_t before_;
};

}  // namespace

void* allocate_aligned(size_t alignment, size_t bytes) {
    void* memory = nullptr;
    return posix_memalign(&memory, alignment, bytes) == 0 ? memory : nullptr;
}

void free_aligned(void* memory) { free(memory); }

void prefer_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#if defined(MADV_HUGEPAGE)
    madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

size_t physical_memory() {
    const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages < 0 || bytes < 0 ? 0 : size_t(pages) * size_t(bytes);
}

int usable_cores() {
#if defined(__linux__)
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
#endif
    return int(std::thread::hardware_concurrency());
}

bool start_thread(void (*run)(void*), void* context) {
    const SignalsBlocked blocked;
    try {
        std::thread([=] { run(context); }).detach();
        return true;
    } catch (const std::system_error&) {
        return false;
    }
}

void sleep_on(std::atomic<uint32_t>& word, uint32_t value) { word.wait(value, std::memory_order_seq_cst); }

void wake_one(std::atomic<uint32_t>& word) { word.notify_one(); }

void sleep_for_ever() {
    for (;;) pause();
}

bool call_at_forks(void (*before)(), void (*in_parent)(), void (*in_child)()) {
    return pthread_atfork(before, in_parent, in_child) == 0;
}

void* find_function(const char* name) { return dlsym(RTLD_DEFAULT, name); }

bool has_dot_products() {
#if defined(__aarch64__) && defined(__linux__)
    return getauxval(AT_HWCAP) & (1 << 20);  // HWCAP_ASIMDDP
#else
    return true;  // every processor of Apple that macOS runs on for ARM
#endif
}

}  // namespace fastgru
