// Data that can only be reached under its lock.
#pragma once

#include <mutex>
#include <utility>

namespace kiln {

// Guarded<Table> table;  table.With([](Table& t) { ... });
template <typename T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}

  // Calls `use` with the data while holding the lock. Returns: what `use` returns.
  template <typename F>
  auto With(F&& use) {
    std::lock_guard lock(mutex_);
    return std::forward<F>(use)(value_);
  }

 private:
  std::mutex mutex_;
  T value_;
};

}  // namespace kiln
