#include "common/parallel_for.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <set>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "common/guarded.h"
#include "tests/unit/wait_until.h"

namespace kiln {
namespace {

struct Case {
  size_t size;
  size_t piece;
};

const std::vector<Case> kCases = {{0, 1}, {1, 1},  {1, 8},   {7, 8},    {8, 8},
                                  {9, 8}, {16, 8}, {100, 7}, {1000, 1}, {12'345, 1'000}};

}  // namespace

TEST_CASE("every piece of a range is worked on once") {
  for (bool core_is_free : {false, true}) {
    for (auto [size, piece] : kCases) {
      INFO(size << " by " << piece);
      std::vector<std::atomic<int>> times(size);
      ParallelFor(
          size, piece,
          [&, piece = piece](size_t begin, size_t end) {
            if (begin % piece != 0 || end - begin > piece || begin >= end) std::abort();
            for (size_t i = begin; i < end; ++i) ++times[i];
          },
          [&] { return core_is_free; });
      for (const auto& count : times) REQUIRE(count == 1);
    }
  }
}

TEST_CASE("without a free core the calling thread works alone") {
  auto caller = std::this_thread::get_id();
  std::atomic<bool> alone = true;
  ParallelFor(
      1'000, 1, [&](size_t, size_t) { alone = alone && std::this_thread::get_id() == caller; },
      [] { return false; });
  CHECK(alone);
}

TEST_CASE("with free cores several threads work, but not more than are useful") {
  auto caller = std::this_thread::get_id();
  Guarded<std::set<std::thread::id>> workers;
  auto count = [&] { return workers.With([](auto& ids) { return ids.size(); }); };
  ParallelFor(
      10'000, 1,
      [&](size_t, size_t) {
        workers.With([](auto& ids) { ids.insert(std::this_thread::get_id()); });
        // Somebody has been called before the first piece is worked on.
        if (std::this_thread::get_id() == caller) {
          testing::WaitUntil([&] { return count() >= 2; }, seconds(30));
        }
      },
      [] { return true; });
  CHECK(count() >= 2);
  CHECK(count() <= kMostThreads);
}

}  // namespace kiln
