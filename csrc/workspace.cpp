#include "workspace.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <mutex>

namespace fastgru {

namespace {

struct Idle {
    void* data;
    size_t bytes;
};

// Fresh pages cost more than any kernel here saves: the first touch of 13 MB takes 3 to 7 ms, a warm pass over
// them 0.5 ms. So blocks are kept, few and not too much of them, and large ones lie on huge pages.
constexpr int kIdleBlocks = 16;
constexpr size_t kIdleBytes = size_t(256) << 20;
constexpr size_t kHugePage = size_t(2) << 20;

std::mutex mutex;
Idle idle[kIdleBlocks];
int idle_count = 0;
size_t idle_bytes = 0;
bool poisons = false;

size_t rounded(size_t bytes) {
    const size_t unit = bytes >= kHugePage ? kHugePage : size_t(64) << 10;
    return (bytes + unit - 1) / unit * unit;
}

// The smallest idle block that is large enough, and not so large that another call would miss it.
Idle take_idle(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex);
    int best = -1;
    for (int i = 0; i < idle_count; ++i) {
        const bool fits = idle[i].bytes >= bytes && idle[i].bytes <= 2 * bytes;
        if (fits && (best < 0 || idle[i].bytes < idle[best].bytes)) best = i;
    }
    if (best < 0) return {nullptr, 0};
    const Idle found = idle[best];
    idle[best] = idle[--idle_count];
    idle_bytes -= found.bytes;
    return found;
}

// Keeps the block for the next call; the ones that waited longest make room for it.
void put_idle(Idle block) {
    if (block.bytes > kIdleBytes / 2) return free(block.data);
    const std::lock_guard<std::mutex> lock(mutex);
    while (idle_count == kIdleBlocks || idle_bytes + block.bytes > kIdleBytes) {
        free(idle[0].data);
        idle_bytes -= idle[0].bytes;
        memmove(idle, idle + 1, size_t(--idle_count) * sizeof(Idle));
    }
    idle[idle_count++] = block;
    idle_bytes += block.bytes;
}

void* allocate(size_t bytes) {
    void* data = nullptr;
    if (posix_memalign(&data, bytes >= kHugePage ? kHugePage : 64, bytes) != 0) return nullptr;
    if (bytes >= kHugePage) madvise(data, bytes, MADV_HUGEPAGE);  // advice: a refusal changes nothing
    return data;
}

}  // namespace

Block::Block(size_t bytes) {
    const size_t size = rounded(bytes == 0 ? 1 : bytes);
    const Idle found = take_idle(size);
    data_ = found.data != nullptr ? found.data : allocate(size);
    bytes_ = found.data != nullptr ? found.bytes : size;
    if (poisons && data_ != nullptr) memset(data_, 0xFF, bytes_);
}

Block::~Block() {
    if (data_ != nullptr) put_idle({data_, bytes_});
}

size_t pooled_bytes() {
    const std::lock_guard<std::mutex> lock(mutex);
    return idle_bytes;
}

void set_poison(bool is_on) { poisons = is_on; }

}  // namespace fastgru
