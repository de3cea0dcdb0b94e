// Turns of an event loop until something holds: WaitUntil for what happens on the loop itself.
#pragma once

#include <functional>

#include "common/event_loop.h"

namespace kiln::testing {

// Runs `loop` until `holds` is true or `deadline` has passed; asks after each turn and every
// millisecond. Returns: its last answer.
inline bool RunUntil(EventLoop* loop, const std::function<bool()>& holds, Duration deadline) {
  const Time end = Clock::now() + deadline;
  EventLoop::TimerId timer = 0;
  std::function<void()> tick = [&] { timer = loop->At(Clock::now() + milliseconds(1), tick); };
  tick();
  loop->set_after_turn([&] {
    if (holds() || Clock::now() >= end) loop->Stop();
  });
  loop->Run();
  loop->set_after_turn(nullptr);
  loop->CancelTimer(timer);
  return holds();
}

}  // namespace kiln::testing
