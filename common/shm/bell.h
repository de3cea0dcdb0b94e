// Waiting for the other side: yielding for a short while, then parked.
//
// Waking a parked core takes 24 us (the call itself 8), a ring's hand-over between awake ones 0.6.
// So a side that has just been busy stays awake and yields; it never spins without, for there are
// more parties than cores. When a yield takes long, somebody needs the core: then it parks at once
// for a while. See D29 in docs/decisions.md.
//
// Thread: one, except the futex calls.
#pragma once

#include <atomic>
#include <cstdint>

#include "common/clock.h"

namespace kiln::shm {

class Spin {
 public:
  // Covers the time a caller thinks between two calls (100 us), not more: beyond it the wake-up is
  // small beside the pause. KILN_SPIN in the environment is another number of microseconds, 0:
  // never.
  static constexpr Duration kDefault = microseconds(200);
  // What the scheduler takes to give a busy core back; an idle core's yield takes 0.4 us. A
  // threshold of 0.1 ms takes other processes' short work for contention.
  static constexpr Duration kSlowYield = milliseconds(1);
  // How long to park at once after a slow yield: doubles up to the second while yields stay slow.
  static constexpr Duration kPenaltyFirst = milliseconds(20);
  static constexpr Duration kPenaltyMost = seconds(1);

  // `most`: how long to yield; KILN_SPIN overrides it.
  explicit Spin(Duration most = kDefault);

  // How long where all cores are known to have work. A yield gives a core only to who has had less
  // of it: a side that sleeps much would take half a core from a task that never sleeps.
  static constexpr Duration kBriefly = microseconds(10);

  // Something has come: the time begins anew.
  void Restart() { began_ = Time::min(); }
  // Yields once. Returns: false when it is time to park.
  bool Yield(bool briefly = false);

 private:
  Duration most_;
  Time began_ = Time::min();  // min: begins with the next Yield
  bool over_ = false;         // park, whatever the time
  Time no_spin_before_ = Time::min();
  Duration penalty_ = kPenaltyFirst;
  uint32_t quick_ = 0;  // spins in a row without a slow yield
};

// Sleeps while the word has this value, until woken or `deadline` (kNever: without end). May return
// early.
void FutexWait(std::atomic<uint32_t>* word, uint32_t value, Time deadline);
// Wakes all that sleep on the word.
void FutexWake(std::atomic<uint32_t>* word);

}  // namespace kiln::shm
