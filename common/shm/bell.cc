#include "common/shm/bell.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <ctime>

namespace kiln::shm {
namespace {

// After so many spins without a slow yield the penalty is halved.
constexpr uint32_t kQuickSpins = 1'000;

Duration SpinTime(Duration most) {
  const char* text = std::getenv("KILN_SPIN");
  if (text == nullptr || *text == '\0') return most;
  char* end;
  const unsigned long us = std::strtoul(text, &end, 10);
  return *end == '\0' ? microseconds(std::min(us, 1'000'000ul)) : most;
}

}  // namespace

Spin::Spin(Duration most) : most_(SpinTime(most)) {}

bool Spin::Yield(bool briefly) {
  const Time before = Clock::now();
  if (began_ == Time::min()) {
    began_ = before;
    over_ = before < no_spin_before_;
    if (!over_ && ++quick_ >= kQuickSpins) {
      quick_ = 0;
      penalty_ = std::max<Duration>(penalty_ / 2, kPenaltyFirst);
    }
  }
  if (over_ || before - began_ >= (briefly ? std::min(most_, kBriefly) : most_)) return false;
  sched_yield();
  const Time after = Clock::now();
  if (after - before <= kSlowYield) return true;
  no_spin_before_ = after + penalty_;
  penalty_ = std::min<Duration>(penalty_ * 2, kPenaltyMost);
  quick_ = 0;
  over_ = true;
  return true;  // the caller looks once more
}

void FutexWait(std::atomic<uint32_t>* word, uint32_t value, Time deadline) {
  timespec until{};
  if (deadline != kNever) {
    const auto since = std::max<Duration>(deadline.time_since_epoch(), Duration(0));
    until.tv_sec = std::chrono::duration_cast<seconds>(since).count();
    until.tv_nsec = (since - std::chrono::duration_cast<seconds>(since)).count();
  }
  // FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock, which Clock is.
  syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, deadline == kNever ? nullptr : &until, nullptr,
          FUTEX_BITSET_MATCH_ANY);
}

void FutexWake(std::atomic<uint32_t>* word) {
  syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace kiln::shm
