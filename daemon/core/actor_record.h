// One actor and the calls that wait for it.
//
// Thread: head loop only.
// Owner:  ActorTable.
// See:    docs/scheduling.md, "Actors".
#pragma once

#include <algorithm>
#include <compare>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "common/value/error_value.h"
#include "daemon/core/actor_state.h"
#include "daemon/core/task_list.h"
#include "daemon/core/worker_record.h"

namespace kiln::core {

// Whose calls run in order: a driver's, an actor's (task 0), or those of one task. Not of a worker
// and all its tasks: a call of one, which waits for another, would hold up what that one waits for.
struct Caller {
  SessionNumber session = kHeadSession;
  TaskId task = 0;

  auto operator<=>(const Caller&) const = default;
};

// Calls of one caller that were not sent yet, in order of submission. Only the first is ever sent.
struct CallLine {
  TaskList calls;
  bool in_turn = false;  // stands in CallGroup::turns
};

// Calls that share a bound on how many run at the same time.
struct CallGroup {
  std::string name;                  // empty: the default one
  uint32_t limit = 1;                // calls that may run at the same time
  uint32_t sent = 0;                 // calls that the worker has
  std::map<Caller, CallLine> lines;  // none is empty
  std::deque<CallLine*> turns;       // lines whose first call is ready; whose turn is next first
};

struct Actor {
  ActorId id = 0;
  ActorState state = ActorState::kPending;
  std::string name;  // empty: none; with name_space the key of ActorTable's names
  std::string name_space;
  std::string handle;  // an encoded ActorClass
  std::string repr;    // what the instance says of itself; empty: nothing
  ClassId creation = 0;
  SessionNumber owner = kHeadSession;  // that created it
  SessionNumber root = kHeadSession;   // driver it lives for; the head: it is detached
  TaskId parent = 0;                   // task that created it; 0: a driver or a thread
  Time created{};

  // Of the constructor, for another run; empty if there is none. Each ref is pinned.
  std::string args;
  std::vector<ObjectId> refs;
  std::vector<ObjectId> nested_refs;
  uint32_t restarts = 0;
  std::string last_end;      // of its process, with restarts
  uint32_t fruitless = 0;    // restarts in a row without a call that ended
  Time restart_at = kNever;  // when the constructor is queued again

  Worker* worker = nullptr;  // that hosts it: the constructor was sent there
  TaskList sent;             // calls that the worker has, or its constructor; as they were sent
  std::unordered_map<TaskId, Block> blocks;  // of those, by task: the blocked ones
  Resources held;                            // what it holds, unless all that runs is blocked
  bool holds = false;

  std::vector<CallGroup> groups;  // the default one first
  double mean_run_us = -1;        // of calls; below 0: not measured
  uint64_t waiting = 0;           // calls in lines
  uint64_t finished = 0;          // calls
  ErrorInfo death;                // with kDead: what calls fail with

  // Calls, or its constructor, run and none of them goes on. Those beyond the limit of their group
  // were sent ahead and have not begun.
  bool all_blocked() const {
    size_t begun = 0;
    for (const CallGroup& group : groups) begun += std::min(group.sent, group.limit);
    return !blocks.empty() && blocks.size() >= begun;
  }
  bool runs() const { return !sent.empty() && !all_blocked(); }
};

}  // namespace kiln::core
