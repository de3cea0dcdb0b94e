// What is due when.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <set>

#include "common/clock.h"

namespace kiln::core {

enum class TimerKind : uint8_t {
  kTaskTimeout,  // subject: task; it ran as long as it may
  kTaskKill,     // task; the grace period after it was asked to stop is over
  kRecall,       // worker; may have finished nothing for too long
  kWorkerStart,  // worker; should have said hello
  kWorkerIdle,   // worker; may have been idle for too long
  kWorkerLeave,  // worker; should have ended
  kProgram,      // program; its back-off is over
  kExpiry,       // object; its time to live is over
  kRestart,      // actor; its constructor is to run again
};

struct Timer {
  Time due;
  TimerKind kind;
  uint64_t subject;
  auto operator<=>(const Timer&) const = default;
};

class TimerQueue {
 public:
  void Add(const Timer& timer) { timers_.insert(timer); }
  // Does nothing if it is not there.
  void Remove(const Timer& timer) { timers_.erase(timer); }
  Time NextDue() const { return timers_.empty() ? kNever : timers_.begin()->due; }
  // Returns: the first timer due at `now`, removed; nothing if none is.
  std::optional<Timer> TakeDue(Time now) {
    if (timers_.empty() || timers_.begin()->due > now) return std::nullopt;
    return timers_.extract(timers_.begin()).value();
  }
  const std::set<Timer>& all() const { return timers_; }

 private:
  std::set<Timer> timers_;
};

}  // namespace kiln::core
