// What each operating system does in its own way: platform_posix.cpp for Linux and macOS, platform_windows.cpp for
// Windows. No other file of the core includes a header of a system.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <atomic>

namespace fastgru {

// Memory that begins at a multiple of `alignment`, a power of two; null where there is none.
void* allocate_aligned(size_t alignment, size_t bytes);
void free_aligned(void* memory);
// Asks for large pages. It is advice: a system that has none to give changes nothing.
void prefer_huge_pages(void* memory, size_t bytes);
// Bytes of memory that the machine has; 0 where the system does not tell.
size_t physical_memory();

// The cores that this process may use.
int usable_cores();
// Starts run(context) on a new thread that nobody joins and that handles no signals meant for the program. False
// where the system starts no more.
bool start_thread(void (*run)(void* context), void* context);
[[noreturn]] void sleep_for_ever();

// Sleeps while the word has this value; may return early. wake_one wakes a thread that sleeps on the word.
void sleep_on(std::atomic<uint32_t>& word, uint32_t value);
void wake_one(std::atomic<uint32_t>& word);

// Registers what is called before each fork, and after it in the parent and in the child; true where the system
// knows forks.
bool call_at_forks(void (*before)(), void (*in_parent)(), void (*in_child)());

// A function that the process has loaded under this name, for all to see or, on Linux, for torch; null where there
// is none.
void* find_function(const char* name);

// Of 64-bit ARM: whether the processor multiplies four bytes at a time and adds the products up.
bool has_dot_products();

}  // namespace fastgru
