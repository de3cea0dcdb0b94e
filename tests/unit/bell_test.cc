#include "common/shm/bell.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/wait_until.h"

namespace kiln::shm {
namespace {

// KILN_SPIN for the time of a test.
class SpinSetting {
 public:
  explicit SpinSetting(const char* value) {
    if (const char* before = std::getenv("KILN_SPIN")) before_ = before;
    value ? setenv("KILN_SPIN", value, 1) : unsetenv("KILN_SPIN");
  }
  ~SpinSetting() { before_ ? setenv("KILN_SPIN", before_->c_str(), 1) : unsetenv("KILN_SPIN"); }

 private:
  std::optional<std::string> before_;
};

// Returns: how long it yields until it says park; each call of Yield is counted.
Duration TimeToPark(Spin& spin, int* yields = nullptr) {
  const Time begin = Clock::now();
  while (spin.Yield()) {
    if (yields) ++*yields;
  }
  return Clock::now() - begin;
}

TEST_CASE("a spin ends, and stays ended until it is restarted") {
  SpinSetting none(nullptr);
  Spin spin(microseconds(500));
  int yields = 0;
  TimeToPark(spin, &yields);
  CHECK(yields > 0);
  CHECK_FALSE(spin.Yield());
  CHECK_FALSE(spin.Yield());
}

TEST_CASE("a restarted spin yields for its whole time, unless the core is needed") {
  SpinSetting none(nullptr);
  constexpr Duration kMost = milliseconds(2);
  // A slow yield ends a spin early; of many rounds one is left in peace even on a busy machine.
  const bool whole = testing::WaitUntil(
      [&] {
        Spin spin(kMost);
        TimeToPark(spin);
        spin.Restart();
        return TimeToPark(spin) >= kMost;
      },
      seconds(30));
  CHECK(whole);
}

TEST_CASE("no time to spin means no yield at all") {
  SpinSetting none(nullptr);
  Spin spin(Duration(0));
  CHECK_FALSE(spin.Yield());
  spin.Restart();
  CHECK_FALSE(spin.Yield());
}

TEST_CASE("KILN_SPIN says how long to spin, whatever the code would") {
  const char* value = nullptr;
  bool spins = true;
  SECTION("0 turns it off") {
    value = "0", spins = false;
  }
  SECTION("a number of microseconds") {
    value = "300";
  }
  SECTION("what is no number does not count") {
    value = "fast";
  }
  SECTION("an empty one does not count") {
    value = "";
  }
  SpinSetting setting(value);
  Spin spin;
  CHECK(spin.Yield() == spins);
}

TEST_CASE("a spin ends whatever KILN_SPIN says") {
  SpinSetting setting("99999999999");
  Spin spin;
  int yields = 0;
  TimeToPark(spin, &yields);  // ends
  CHECK(yields > 0);
}

// --- futex ---------------------------------------------------------------------------------------

TEST_CASE("a word that has changed lets nobody sleep") {
  std::atomic<uint32_t> word{1};
  FutexWait(&word, 0, kNever);  // returns
  SUCCEED();
}

TEST_CASE("a sleeper on a word wakes when its deadline is over") {
  std::atomic<uint32_t> word{1};
  for (const Time deadline : {Clock::now() + milliseconds(1), Clock::now() - seconds(1),
                              Time(Duration(0)), Time(Duration(-5))}) {
    FutexWait(&word, 1, deadline);  // returns
  }
  CHECK(word == 1);
}

TEST_CASE("one wake wakes all that sleep on a word") {
  std::atomic<uint32_t> word{1};
  std::atomic<int> awake = 0;
  std::vector<std::thread> sleepers;
  for (int i = 0; i < 4; ++i) {
    sleepers.emplace_back([&] {
      while (word.load() == 1) FutexWait(&word, 1, kNever);
      ++awake;
    });
  }
  word = 0;
  FutexWake(&word);
  for (std::thread& sleeper : sleepers) sleeper.join();
  CHECK(awake == 4);
}

TEST_CASE("a bell that is rung and parked again a hundred thousand times loses no ring") {
  // Both sides as the transport does it: publish, fence, look at the bell; park, fence, look again.
  std::atomic<uint32_t> bell{0};
  std::atomic<uint64_t> published{0};
  constexpr uint64_t kRings = 100'000;
  std::thread ringing([&] {
    for (uint64_t i = 1; i <= kRings; ++i) {
      published.store(i, std::memory_order_release);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (bell.load(std::memory_order_relaxed) == 0) continue;
      if (bell.exchange(0) == 1) FutexWake(&bell);
    }
  });
  uint64_t seen = 0;
  while (seen < kRings) {
    bell.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (published.load(std::memory_order_acquire) == seen) FutexWait(&bell, 1, kNever);
    bell.store(0, std::memory_order_relaxed);
    seen = published.load(std::memory_order_acquire);
  }
  ringing.join();
  CHECK(seen == kRings);
}

}  // namespace
}  // namespace kiln::shm
