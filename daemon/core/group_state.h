// Where a placement group is in its life, and where it may go from there.
//
// Thread: plain data.
// See:    docs/scheduling.md, "Placement groups"; a test compares its table with the one here.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kiln::core {

enum class GroupState : uint8_t {
  // Waits until all its bundles fit. Left when they do, or when it is removed.
  kPending,
  // Holds its resources, for the tasks and actors that name it. Left when it is removed.
  kCreated,
  // Ended; its row is remembered for a while.
  kRemoved,
};

inline constexpr int kGroupStates = 3;

// Names are the wire's.
inline constexpr std::array<std::string_view, kGroupStates> kGroupStateNames = {
    "PENDING", "CREATED", "REMOVED"};

// kGroupMoves[from][to].
inline constexpr bool kGroupMoves[kGroupStates][kGroupStates] = {
    // to:       pending created removed
    /*pending*/ {false, true, true},
    /*created*/ {false, false, true},
    /*removed*/ {false, false, false},
};

inline constexpr std::string_view Name(GroupState state) {
  return kGroupStateNames[static_cast<size_t>(state)];
}
inline constexpr bool MayMove(GroupState from, GroupState to) {
  return kGroupMoves[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

}  // namespace kiln::core
