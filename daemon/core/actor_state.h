// Where an actor is in its life, and where it may go from there.
//
// Thread: plain data.
// See:    docs/scheduling.md, "Actors"; a test compares its table with the one here.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kiln::core {

enum class ActorState : uint8_t {
  // Its constructor has not ended for the first time. Left when that ends, or its process does.
  kPending,
  // Calls run. Left when its process ends, or when it is to end.
  kAlive,
  // Its process ended and its constructor is to run again. Left as kPending.
  kRestarting,
  // Ends; its record goes when nobody refers to it.
  kDead,
};

inline constexpr int kActorStates = 4;

// Names are the wire's.
inline constexpr std::array<std::string_view, kActorStates> kActorStateNames = {
    "PENDING", "ALIVE", "RESTARTING", "DEAD"};

// kActorMoves[from][to].
inline constexpr bool kActorMoves[kActorStates][kActorStates] = {
    // to:          pending alive restarting dead
    /*pending*/ {false, true, true, true},
    /*alive*/ {false, false, true, true},
    /*restarting*/ {false, true, true, true},
    /*dead*/ {false, false, false, false},
};

inline constexpr std::string_view Name(ActorState state) {
  return kActorStateNames[static_cast<size_t>(state)];
}
inline constexpr bool MayMove(ActorState from, ActorState to) {
  return kActorMoves[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

}  // namespace kiln::core
