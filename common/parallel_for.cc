#include "common/parallel_for.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <system_error>
#include <thread>
#include <vector>

#include "common/clock.h"

namespace kiln {
namespace {

// A look at the load costs 3 us, so a third of a percent.
constexpr Duration kAskEvery = milliseconds(1);

// Threads that run or want to, on the whole machine; 0 if unknown.
int RunningThreads() {
  int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[128];
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  int running = 0;  // "0.20 0.18 0.12 1/80 11206": the fourth
  text[std::max<ssize_t>(length, 0)] = '\0';
  return std::sscanf(text, "%*s %*s %*s %d/", &running) == 1 ? running : 0;
}

int UsableCores() {
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

class Crew {
 public:
  Crew(size_t size, size_t piece, const std::function<void(size_t, size_t)>& step,
       const std::function<bool()>& is_core_free)
      : size_(size), piece_(piece), step_(step), is_core_free_(is_core_free) {}

  // The caller's part; returns when all pieces are done.
  void Lead() {
    Time ask_at = Time::min();
    size_t begin;
    while (TakePiece(&begin)) {
      if (Time now = Clock::now(); now >= ask_at) {
        ask_at = now + kAskEvery;
        if (HasPieces() && is_core_free_()) Hire();
      }
      Do(begin);
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  // False: all have been taken.
  bool TakePiece(size_t* begin) {
    *begin = next_.fetch_add(piece_, std::memory_order_relaxed);
    return *begin < size_;
  }
  bool HasPieces() const { return next_.load(std::memory_order_relaxed) < size_; }
  void Do(size_t begin) const { step_(begin, std::min(begin + piece_, size_)); }

  void Hire() {
    if (threads_.size() + 1 >= static_cast<size_t>(kMostThreads)) return;
    try {
      threads_.emplace_back([this] { Help(); });
    } catch (const std::system_error&) {
      // No threads left for this user: alone then.
    }
  }

  void Help() {
    Time ask_at = Clock::now() + kAskEvery;
    size_t begin;
    while (TakePiece(&begin)) {
      Do(begin);
      Time now = Clock::now();
      if (now < ask_at) continue;
      ask_at = now + kAskEvery;
      if (!IsRoomForAll()) return;
    }
  }

  static bool IsRoomForAll() { return RunningThreads() <= UsableCores(); }

  const size_t size_;
  const size_t piece_;
  const std::function<void(size_t, size_t)>& step_;
  const std::function<bool()>& is_core_free_;
  std::atomic<size_t> next_ = 0;  // where the next piece begins
  std::vector<std::thread> threads_;
};

}  // namespace

bool IsCoreFree() {
  int running = RunningThreads();
  return running > 0 && running < UsableCores();
}

void ParallelFor(size_t size, size_t piece, const std::function<void(size_t, size_t)>& step,
                 const std::function<bool()>& is_core_free) {
  if (size <= piece) {
    if (size > 0) step(0, size);
    return;
  }
  Crew(size, piece, step, is_core_free).Lead();
}

}  // namespace kiln
