// What must hold between events, in parts. For tests.
#pragma once

#include <string>

#include "daemon/core/core_state.h"

namespace kiln::core {

// Each part returns the first thing that does not hold, empty if all does.
struct Core::Invariants {
  const Core::State& state;

  static std::string Of(const char* what, uint64_t id) {
    return std::string(what) + " " + FormatRef(id);
  }

  std::string Tasks() const;
  std::string TaskOf(const Task& task) const;
  std::string Lines() const;
  std::string Workers() const;
  std::string StackOf(const Worker& worker) const;
  std::string Resources() const;
  std::string Sessions() const;
  std::string Objects() const;
  std::string Timers() const;
  std::string Streams() const;
  std::string StreamBlocks() const;
  std::string Actors() const;
  std::string ActorOf(const Actor& actor) const;
};

}  // namespace kiln::core
