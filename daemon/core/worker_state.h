// Where a worker is in its life, and where it may go from there.
//
// Thread: plain data.
// See:    docs/scheduling.md, "Workers"; a test compares its table with the one here.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kiln::core {

enum class WorkerState : uint8_t {
  // Its process was asked for. Left when it says hello, or is given up.
  kStarting,
  // Has no task. Left by dispatch, or when it is retired.
  kIdle,
  // Its innermost task runs. Left when that ends or blocks.
  kBusy,
  // Its innermost task is blocked. Left when that resumes, ends, or another is nested on it.
  kBlocked,
  // Hosts an actor, from its constructor on. Left when that is to end.
  kActor,
  // Gets no more tasks: retired, leaving by itself, or being killed. Left by the end of its
  // process.
  kLeaving,
  // Its process ended; its record goes.
  kLost,
};

inline constexpr int kWorkerStates = 7;

// Names are the wire's; LOST is never seen there.
inline constexpr std::array<std::string_view, kWorkerStates> kWorkerStateNames = {
    "STARTING", "IDLE", "BUSY", "BLOCKED", "ACTOR", "LEAVING", "LOST"};

// kWorkerMoves[from][to].
inline constexpr bool kWorkerMoves[kWorkerStates][kWorkerStates] = {
    // to:       starting idle busy blocked actor leaving lost
    /*starting*/ {false, true, false, false, false, true, true},
    /*idle*/ {false, false, true, false, true, true, true},
    /*busy*/ {false, true, false, true, false, true, true},
    /*blocked*/ {false, true, true, false, false, true, true},
    /*actor*/ {false, false, false, false, false, true, true},
    /*leaving*/ {false, false, false, false, false, false, true},
    /*lost*/ {false, false, false, false, false, false, false},
};

inline constexpr std::string_view Name(WorkerState state) {
  return kWorkerStateNames[static_cast<size_t>(state)];
}
inline constexpr bool MayMove(WorkerState from, WorkerState to) {
  return kWorkerMoves[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

}  // namespace kiln::core
