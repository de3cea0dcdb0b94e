// Waiting for something that another process or thread does: the one place where tests wait.
#pragma once

#include <chrono>
#include <thread>

namespace kiln::testing {

// Asks `holds` every millisecond until it is true or `deadline` has passed.
// Returns: its last answer.
template <typename Predicate>
bool WaitUntil(Predicate holds, std::chrono::steady_clock::duration deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= end) return holds();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace kiln::testing
