// The core under seeded random events, invariants checked after each.
//
// KILN_SEED=n runs that seed alone, KILN_STEPS=n sets the events per seed, KILN_SEEDS=n how many.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "tests/random/simulation.h"

namespace kiln::core {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST_CASE("random events leave the core consistent, and everything ends") {
  const uint64_t steps = FromEnvironment("KILN_STEPS", 1'000);
  const uint64_t first = FromEnvironment("KILN_SEED", 1);
  const uint64_t seeds = FromEnvironment("KILN_SEEDS", std::getenv("KILN_SEED") ? 1 : 100);
  uint64_t ended = 0, nested = 0, items = 0, windows_full = 0, actors = 0, calls = 0, restarts = 0,
           groups = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    Simulation simulation(seed);
    try {
      simulation.Run(static_cast<int>(steps));
      simulation.Drain();
    } catch (const std::runtime_error& failure) {
      FAIL("KILN_SEED=" << seed << " KILN_STEPS=" << steps << ": " << failure.what());
    }
    ended += simulation.tasks_ended();
    nested += simulation.nested();
    items += simulation.items();
    windows_full += simulation.windows_full();
    actors += simulation.actors();
    calls += simulation.calls();
    restarts += simulation.restarts();
    groups += simulation.groups();
  }
  // The world is worth its name only if much happens in it.
  if (seeds > 10) CHECK(ended > seeds * steps / 20);
  if (seeds > 10) CHECK((nested > 0 && items > 0 && windows_full > 0));
  if (seeds > 10) CHECK((actors > 0 && calls > 0 && restarts > 0 && groups > 0));
}

}  // namespace
}  // namespace kiln::core
