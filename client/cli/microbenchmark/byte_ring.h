// A single-producer single-consumer ring of records, as small as it can be: the floor for what a
// transport over shared memory may cost. Waits by yielding, without end.
//
// Thread: one sends, one receives; in shared memory, so in different processes.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace kiln::cli::microbenchmark {

class ByteRing {
 public:
  // Requires: size < kBytes.
  void Send(const void* data, uint32_t size) {
    uint64_t tail = tail_.load(std::memory_order_relaxed);
    while (tail + sizeof size + size - head_.load(std::memory_order_acquire) > kBytes) {
      sched_yield();
    }
    Copy(tail, &size, sizeof size);
    Copy(tail + sizeof size, data, size);
    tail_.store(tail + sizeof size + size, std::memory_order_release);
  }

  // Requires: `data` has room for the largest record. Returns: the record's size.
  uint32_t Receive(void* data) {
    uint64_t head = head_.load(std::memory_order_relaxed);
    while (tail_.load(std::memory_order_acquire) == head) sched_yield();
    uint32_t size = 0;
    Fetch(head, &size, sizeof size);
    Fetch(head + sizeof size, data, size);
    head_.store(head + sizeof size + size, std::memory_order_release);
    return size;
  }

 private:
  static constexpr size_t kBytes = 1 << 16;

  void Copy(uint64_t at, const void* from, size_t size) {
    size_t begin = at % kBytes, first = std::min(size, kBytes - begin);
    std::memcpy(data_ + begin, from, first);
    std::memcpy(data_, static_cast<const char*>(from) + first, size - first);
  }
  void Fetch(uint64_t at, void* to, size_t size) const {
    size_t begin = at % kBytes, first = std::min(size, kBytes - begin);
    std::memcpy(to, data_ + begin, first);
    std::memcpy(static_cast<char*>(to) + first, data_, size - first);
  }

  // A cache line for each side.
  alignas(64) std::atomic<uint64_t> head_ = 0;
  alignas(64) std::atomic<uint64_t> tail_ = 0;
  alignas(64) char data_[kBytes];
};

}  // namespace kiln::cli::microbenchmark
