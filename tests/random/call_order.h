// What calls of actors promise, kept beside the core and checked against it.
//
// At most once: a call without retries that a worker was sent is never sent again. In order: a call
// begins only when those that its caller submitted to the same group of the actor before it have
// ended, or have begun in the same process.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>

#include "daemon/core/core.h"

namespace kiln::core {

class CallOrder {
 public:
  // Whose calls keep their order: a driver, an actor's process (task 0), or one task.
  using Caller = std::pair<SessionNumber, TaskId>;

  // `max_sent`: how often the call may be sent to a worker; -1: without end.
  void OnSubmitted(TaskId call, ActorId actor, Caller caller, const std::string& group,
                   int max_sent) {
    const Line line{actor, caller, group};
    calls_[call] = {line, max_sent, 0};
    lines_[line].push_back(call);
  }
  // Returns: the actor; 0 if the task is no call that has not ended.
  ActorId ActorOf(TaskId task) const {
    auto found = calls_.find(task);
    return found == calls_.end() ? 0 : std::get<0>(found->second.line);
  }
  void OnSent(TaskId id) {
    auto found = calls_.find(id);
    if (found == calls_.end()) return;
    Call& call = found->second;
    if (call.max_sent >= 0 && call.sent >= call.max_sent) {
      throw std::runtime_error("call " + FormatRef(id) + " is sent once too often");
    }
    ++call.sent;
  }
  // `passed`: calls that this process has begun or has handed back.
  void OnBegun(TaskId id, const std::set<TaskId>& passed) const {
    auto found = calls_.find(id);
    if (found == calls_.end()) return;  // it has ended meanwhile
    for (TaskId before : lines_.at(found->second.line)) {
      if (before == id) return;
      if (!passed.contains(before)) {
        throw std::runtime_error("call " + FormatRef(id) + " begins before " + FormatRef(before));
      }
    }
  }
  void OnEnded(TaskId id) {
    auto found = calls_.find(id);
    if (found == calls_.end()) return;
    auto line = lines_.find(found->second.line);
    std::erase(line->second, id);
    if (line->second.empty()) lines_.erase(line);
    calls_.erase(found);
  }

 private:
  using Line = std::tuple<ActorId, Caller, std::string>;
  struct Call {
    Line line;
    int max_sent = 1;
    int sent = 0;
  };
  std::map<TaskId, Call> calls_;              // that have not ended
  std::map<Line, std::deque<TaskId>> lines_;  // in the order submitted; none is empty
};

}  // namespace kiln::core
