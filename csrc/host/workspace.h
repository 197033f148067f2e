// Scratch memory: an arena that a call is laid out in, and a pool of blocks that calls borrow.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fastgru {

// Of every piece of scratch memory; the widest vectors have as many bytes.
constexpr size_t kAlignment = 64;
constexpr size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Hands out aligned pieces of one block. On a null base it only counts, so the same layout code first says how
// much it needs and then takes it.
class Arena {
  public:
    explicit Arena(void* base) : base_(static_cast<char*>(base)) {}

    template <class V>
    V* take(ptrdiff_t count) {
        const size_t at = used_;
        used_ += aligned(size_t(count) * sizeof(V));
        return base_ == nullptr ? nullptr : reinterpret_cast<V*>(base_ + at);
    }
    size_t used() const { return used_; }

  private:
    char* base_;
    size_t used_ = 0;
};

// A block of memory from the pool; null data when the system has none. Goes back to the pool when destroyed.
class Block {
  public:
    explicit Block(size_t bytes);
    ~Block();
    Block(Block&& other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;

    void* data() const { return data_; }
    size_t bytes() const { return bytes_; }

  private:
    void* data_;
    size_t bytes_;
};

// Bytes that wait in the pool for the next call.
size_t pooled_bytes();
// Around a fork: a child inherits the pool as it is, and its lock must not be another thread's, who is not there to
// open it.
void lock_pool();
void unlock_pool();
// From now on every block is handed out full of NaN: tests show that no kernel reads what it has not written.
void set_poison(bool is_on);

}  // namespace fastgru
