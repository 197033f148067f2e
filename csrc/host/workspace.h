// Scratch memory: an arena for the arrays of a call, and a pool of blocks for calls.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fastgru {

// Alignment of every piece of scratch memory, the size of the widest vectors in bytes.
constexpr size_t kAlignment = 64;
constexpr size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Hands out aligned pieces of one block. With a null base it only counts, so that the same code first computes the
// size and then takes the pieces.
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

// A block of memory from the pool; null data if there is no memory. The destructor returns it to the pool.
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

// Bytes in the pool that are not in use.
size_t pooled_bytes();
// Called around a fork: a child inherits the pool, whose lock must not be held by another thread, which does not
// exist in the child.
void lock_pool();
void unlock_pool();
// From now on every block is filled with NaN: tests use it to check that no kernel reads uninitialized memory.
void set_poison(bool is_on);

}  // namespace fastgru
