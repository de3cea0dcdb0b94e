// Where a task is in its life, and where it may go from there.
//
// Thread: plain data.
// See:    docs/scheduling.md, "Tasks"; a test compares its table with the one here.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kiln::core {

enum class TaskState : uint8_t {
  // Some argument is not sealed. Left when the last one is, or one is an error, or by cancel.
  kWaiting,
  // In the ready queue. Left by dispatch, by cancel, or when its program cannot be started.
  kReady,
  // Sent to a worker. Left when the worker reports, returns it or is lost, or when it blocks.
  kAssigned,
  // Waits inside get or wait; holds no resources. Left when it takes them back, and as above.
  kBlocked,
  // Ends; nobody leaves them.
  kFinished,
  kFailed,
  kCancelled,
};

inline constexpr int kTaskStates = 7;

// Names are the wire's.
inline constexpr std::array<std::string_view, kTaskStates> kTaskStateNames = {
    "WAITING", "READY", "ASSIGNED", "BLOCKED", "FINISHED", "FAILED", "CANCELLED"};

// kTaskMoves[from][to].
inline constexpr bool kTaskMoves[kTaskStates][kTaskStates] = {
    // to:      waiting ready assigned blocked finished failed cancelled
    /*waiting*/ {false, true, false, false, false, true, true},
    /*ready*/ {false, false, true, false, false, true, true},
    /*assigned*/ {false, true, false, true, true, true, true},
    /*blocked*/ {false, true, true, false, true, true, true},
    /*finished*/ {false, false, false, false, false, false, false},
    /*failed*/ {false, false, false, false, false, false, false},
    /*cancelled*/ {false, false, false, false, false, false, false},
};

inline constexpr std::string_view Name(TaskState state) {
  return kTaskStateNames[static_cast<size_t>(state)];
}
inline constexpr bool MayMove(TaskState from, TaskState to) {
  return kTaskMoves[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

}  // namespace kiln::core
