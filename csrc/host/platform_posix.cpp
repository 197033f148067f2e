#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#if defined(__linux__)
#include <link.h>
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

#if defined(__linux__)

// Only notes the path: a library that is opened in here waits for whoever opens another one, who waits for this.
int note_library_of_torch(dl_phdr_info* library, size_t, void* path) {
    const std::string_view whole = library->dlpi_name ? library->dlpi_name : "";
    const bool is_torch =
        whole.substr(whole.rfind('/') + 1).starts_with("libtorch_cpu.so");  // a version may follow
    if (is_torch) *static_cast<std::string*>(path) = whole;
    return is_torch;
}

// Torch from PyPI shows the functions of its OpenMP to all; that of a Linux distribution keeps them to itself.
void* find_function_of_torch(const char* name) {
    std::string path;
    dl_iterate_phdr(note_library_of_torch, &path);
    void* const torch = path.empty() ? nullptr : dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (!torch) return nullptr;
    void* const found = dlsym(torch, name);  // there, or in a library that it needs
    dlclose(torch);
    return found;
}

#endif

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

void* find_function(const char* name) {
    void* const found = dlsym(RTLD_DEFAULT, name);
#if defined(__linux__)
    return found ? found : find_function_of_torch(name);
#else
    return found;
#endif
}

bool has_dot_products() {
#if defined(__aarch64__) && defined(__linux__)
    return getauxval(AT_HWCAP) & (1 << 20);  // HWCAP_ASIMDDP
#else
    return true;  // every processor of Apple that macOS runs on for ARM
#endif
}

}  // namespace fastgru
