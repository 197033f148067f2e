#include "host/workspace.h"

#include <string.h>

#include <mutex>

#include "host/platform.h"

namespace fastgru {

namespace {

struct Idle {
    void* data;
    size_t bytes;
    int64_t since;  // the value of `returns` when it came back
};

// Fresh pages cost more than any kernel here saves: the first touch of 13 MB takes 3 to 7 ms, a warm pass over
// them 0.5 ms. So blocks are kept, few and not too much of them, and large ones lie on huge pages.
constexpr int kIdleBlocks = 16;
constexpr size_t kIdleBytes = size_t(256) << 20;
constexpr size_t kHugePage = size_t(2) << 20;
// Blocks beyond this size hold what long training steps save, and are kept apart: they may take a part of the
// machine's memory, and are freed when no call asked for one while so many blocks came back. Leaving their pages to
// the system meanwhile (MADV_FREE) costs as much as fresh ones.
constexpr size_t kLargeBytes = kIdleBytes / 2;
constexpr size_t kPartOfMemory = 8;
constexpr int64_t kPatience = 1000;

std::mutex mutex;
Idle idle[kIdleBlocks];  // the one that has waited longest first
int idle_count = 0;
int64_t returns = 0;
bool poisons = false;

bool is_large(size_t bytes) { return bytes > kLargeBytes; }

size_t rounded(size_t bytes) {
    const size_t unit = bytes >= kHugePage ? kHugePage : size_t(64) << 10;
    const size_t most = SIZE_MAX / unit * unit;
    return bytes > most ? most : (bytes + unit - 1) / unit * unit;
}

// How much may wait in all of large blocks, or of the others.
size_t most_idle_bytes(bool large) {
    if (!large) return kIdleBytes;
    const size_t memory = physical_memory();
    return memory == 0 ? kIdleBytes : memory / kPartOfMemory;
}

size_t waiting_bytes(bool large) {
    size_t sum = 0;
    for (int i = 0; i < idle_count; ++i) sum += is_large(idle[i].bytes) == large ? idle[i].bytes : 0;
    return sum;
}

// Takes a block out; the others keep their order.
Idle removed(int place) {
    const Idle block = idle[place];
    --idle_count;
    memmove(idle + place, idle + place + 1, size_t(idle_count - place) * sizeof(Idle));
    return block;
}

// Blocks that leave the pool. Declared before the lock, so that they are freed after it: that takes the system a
// while.
struct Leaving {
    Idle blocks[kIdleBlocks];
    int count = 0;

    ~Leaving() {
        for (int i = 0; i < count; ++i) free_aligned(blocks[i].data);
    }
    // Those for which `leaves` is true.
    template <class Leaves>
    void take(const Leaves& leaves) {
        for (int i = idle_count - 1; i >= 0; --i)
            if (leaves(idle[i])) blocks[count++] = removed(i);
    }
    // The one of this kind that has waited longest, or of any kind where there is none.
    void take_oldest(bool large) {
        int place = 0;
        for (int i = idle_count - 1; i >= 0; --i)
            if (is_large(idle[i].bytes) == large) place = i;
        blocks[count++] = removed(place);
    }
};

// The smallest idle block that is large enough, and not so large that another call would miss it.
Idle take_idle(size_t bytes) {
    Leaving leaving;
    const std::lock_guard<std::mutex> lock(mutex);
    int best = -1;
    for (int i = 0; i < idle_count; ++i) {
        const bool fits = idle[i].bytes >= bytes && idle[i].bytes / 2 <= bytes;
        if (fits && (best < 0 || idle[i].bytes < idle[best].bytes)) best = i;
    }
    if (best >= 0) return removed(best);
    // Large blocks that do not fit go before fresh memory comes, so that the peak is no higher than without them.
    if (is_large(bytes)) leaving.take([](const Idle& block) { return is_large(block.bytes); });
    return {nullptr, 0, 0};
}

// Keeps the block for the next call; the ones that have waited longest make room for it.
void put_idle(Idle block) {
    const bool large = is_large(block.bytes);
    const size_t most = most_idle_bytes(large);
    if (block.bytes > most) return free_aligned(block.data);
    Leaving leaving;
    const std::lock_guard<std::mutex> lock(mutex);
    ++returns;
    leaving.take(
        [](const Idle& waiting) { return is_large(waiting.bytes) && returns - waiting.since > kPatience; });
    while (idle_count == kIdleBlocks || waiting_bytes(large) + block.bytes > most) leaving.take_oldest(large);
    idle[idle_count++] = {block.data, block.bytes, returns};
}

void drop_idle() {
    Leaving leaving;
    const std::lock_guard<std::mutex> lock(mutex);
    leaving.take([](const Idle&) { return true; });
}

void* allocate(size_t bytes) {
    const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
    void* data = allocate_aligned(alignment, bytes);
    if (data == nullptr) {
        drop_idle();  // what waits here may be what is lacking
        data = allocate_aligned(alignment, bytes);
    }
    if (data != nullptr && bytes >= kHugePage) prefer_huge_pages(data, bytes);
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
    if (data_ != nullptr) put_idle({data_, bytes_, 0});
}

size_t pooled_bytes() {
    const std::lock_guard<std::mutex> lock(mutex);
    return waiting_bytes(false) + waiting_bytes(true);
}

void lock_pool() { mutex.lock(); }
void unlock_pool() { mutex.unlock(); }

void set_poison(bool is_on) { poisons = is_on; }

}  // namespace fastgru
