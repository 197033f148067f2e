#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <malloc.h>
#include <windows.h>

#include <system_error>
#include <thread>

#include "host/platform.h"

namespace fastgru {

namespace {

// Looked up, because tool chains have these functions in import libraries of different names. They came with
// Windows 8.
template <class Function>
Function* kernel_function(const char* name) {
    return reinterpret_cast<Function*>(
        reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"kernelbase"), name)));
}

}  // namespace

void* allocate_aligned(size_t alignment, size_t bytes) { return _aligned_malloc(bytes, alignment); }

void free_aligned(void* memory) { _aligned_free(memory); }

// Only programs with a privilege of their own get large pages.
void prefer_huge_pages(void*, size_t) {}

size_t physical_memory() {
    MEMORYSTATUSEX status{};
    status.dwLength = sizeof status;
    return GlobalMemoryStatusEx(&status) ? size_t(status.ullTotalPhys) : 0;
}

// A process whose threads are in several groups of 64 cores has no mask; it may use all.
int usable_cores() {
    DWORD_PTR own = 0, all = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &own, &all) && own != 0) return __builtin_popcountll(own);
    return int(std::thread::hardware_concurrency());
}

bool start_thread(void (*run)(void*), void* context) {
    try {
        std::thread([=] { run(context); }).detach();
        return true;
    } catch (const std::system_error&) {
        return false;
    }
}

// Not std::atomic's own: GCC's library for Windows looks at the value before it locks what it sleeps on, and sleeps
// for ever where the word is set in between.
void sleep_on(std::atomic<uint32_t>& word, uint32_t value) {
    static const auto wait = kernel_function<decltype(WaitOnAddress)>("WaitOnAddress");
    wait(&word, &value, sizeof value, INFINITE);
}

void wake_one(std::atomic<uint32_t>& word) {
    static const auto wake = kernel_function<decltype(WakeByAddressSingle)>("WakeByAddressSingle");
    wake(&word);
}

void sleep_for_ever() {
    for (;;) Sleep(INFINITE);
}

bool call_at_forks(void (*)(), void (*)(), void (*)()) { return false; }

// The library of OpenMP that torch brings for Windows has no functions with GNU's interface, so there is none to
// find, and looking through every module of the process would be in vain.
void* find_function(const char*) { return nullptr; }

bool has_dot_products() { return IsProcessorFeaturePresent(43); }  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE

}  // namespace fastgru
