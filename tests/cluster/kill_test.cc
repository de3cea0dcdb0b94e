// kill -9 of anything at any moment, under a mixed load: what survives is right, and everything is
// given back.
//
// KILN_SEED chooses the moments and victims (default: fixed), KILN_ROUNDS how many (default 60).
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <optional>
#include <random>

#include "tests/cluster/files.h"
#include "tests/cluster/tasks.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

using Random = std::mt19937;

uint64_t Setting(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

// --- the load ------------------------------------------------------------------------------------

int SmallFib(int n) {
  if (n < 2) return n;
  auto tough = CurrentSession().With({.max_retries = -1});
  auto a = tough.Submit(SmallFib, n - 1);
  auto b = tough.Submit(SmallFib, n - 2);
  return CurrentSession().Get(a) + CurrentSession().Get(b);
}
KILN_TASK(SmallFib);

Array<int64_t> Fill(int64_t value, size_t size) {
  auto numbers = MakeArray<int64_t>(size);
  std::fill(numbers.begin(), numbers.end(), value);
  return numbers;
}
KILN_TASK(Fill);

int64_t SumOf(const Array<int64_t>& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), int64_t{0});
}
KILN_TASK(SumOf);

void Forever() {
  while (true) ThrowIfCancelled();
}
KILN_TASK(Forever);

// One step of a driver: some calls whose outcome it knows. Returns: what was wrong; empty if
// nothing.
using Step = std::string (*)(const Session& session, Random& random);

std::string Expect(bool holds, const char* what) {
  return holds ? "" : what;
}

std::string ChainStep(const Session& session, Random& random) {
  auto tough = session.With({.max_retries = -1});
  int length = 1 + static_cast<int>(random() % 50);
  Ref<int> sum = session.Put(0);
  for (int i = 1; i <= length; ++i) sum = tough.Submit(Add, sum, i);
  return Expect(session.Get(sum) == length * (length + 1) / 2, "the sum of a chain");
}

std::string ArrayStep(const Session& session, Random& random) {
  auto tough = session.With({.max_retries = -1});
  auto size = static_cast<size_t>(random() % 300'000);
  auto made = tough.Submit(Fill, int64_t{3}, size);
  auto put = session.Create<int64_t>(size);
  std::fill(put.begin(), put.end(), 4);
  auto ours = session.Put(std::move(put));
  int64_t sums = session.Get(tough.Submit(SumOf, made)) + session.Get(tough.Submit(SumOf, ours));
  bool whole = size == 0 || (session.Get(made)[size - 1] == 3 && session.Get(ours)[0] == 4);
  return Expect(sums == 7 * static_cast<int64_t>(size) && whole, "the sum of arrays");
}

std::string NestedStep(const Session& session, Random&) {
  return Expect(session.Get(session.With({.max_retries = -1}).Submit(SmallFib, 6)) == 8, "fib(6)");
}

std::string WaitStep(const Session& session, Random& random) {
  std::vector<Ref<int>> pending;
  int count = 1 + static_cast<int>(random() % 200);
  for (int i = 0; i < count; ++i) {
    pending.push_back(session.With({.max_retries = -1}).Submit(Add, i, 1));
  }
  int sum = 0;
  while (!pending.empty()) {
    auto found = session.Wait(pending, std::min<size_t>(pending.size(), 20));
    for (int value : session.Get(found.ready)) sum += value;
    pending = found.not_ready;
  }
  return Expect(sum == count * (count + 1) / 2, "the sum of waits");
}

std::string CancelStep(const Session& session, Random& random) {
  auto endless = session.With({.max_retries = -1}).Submit(Forever);
  session.Cancel(endless, /*force=*/random() % 2 == 0);
  try {
    session.Get(endless);
  } catch (const TaskCancelledError&) {
    return "";
  }
  return "a cancelled task has a result";
}

// The one error that a kill may give here is the documented one.
std::string OnceStep(const Session& session, Random&) {
  try {
    return Expect(session.Get(session.With({.max_retries = 0}).Submit(Add, 1, 2)) == 3, "1 + 2");
  } catch (const WorkerCrashedError&) {
    return "";
  }
}

// Steps until the file `stop` is there; notes each in `progress`.
const DriverProgram kMixed("mixed", [](const Session& session, const auto& arguments) {
  constexpr Step kSteps[] = {ChainStep, ArrayStep, NestedStep, WaitStep, CancelStep, OnceStep};
  Random random(static_cast<Random::result_type>(std::stoul(arguments[0])));
  const std::string &progress = arguments[1], &stop = arguments[2];
  while (!Exists(stop)) {
    size_t step = random() % std::size(kSteps);
    try {
      std::string wrong = kSteps[step](session, random);
      if (!wrong.empty()) return std::printf("WRONG: %s\n", wrong.c_str()), 1;
    } catch (const std::exception& error) {
      return std::printf("WRONG: step %zu: %s\n", step, error.what()), 1;
    }
    Append(progress, "x");
  }
  return 0;
});

// --- the killer ----------------------------------------------------------------------------------

class Killer {
 public:
  Killer(TestHead& head, uint64_t seed)
      : head_(head), random_(static_cast<Random::result_type>(seed)) {
    for (int i = 0; i < 2; ++i) drivers_.push_back(StartDriver());
  }

  void Round() {
    size_t goal = SizeOf(Progress()) + random_() % 8;
    bool moved = WaitUntil([&] { return SizeOf(Progress()) >= goal || SomeEnded(); }, kDeadline);
    REQUIRE(moved);
    CheckDrivers();
    // Somewhere inside a step, not at its end.
    for (uint32_t i = random_() % 20'000; i > 0; --i)
      std::atomic_signal_fence(std::memory_order_seq_cst);
    switch (random_() % 8) {
      case 0:
        return KillDriver();
      case 1:
        return KillKeeper();
      default:
        return KillWorker();
    }
  }

  // Lets the drivers come to their end.
  void Finish() {
    Append(Stop(), "x");
    for (Child& driver : drivers_) {
      CHECK(driver.AwaitExitCode() == 0);
      CHECK(driver.Output() == "");
    }
  }

  std::string Describe() const {
    std::string text;
    for (const auto& [victim, count] : killed_) text += victim + " " + std::to_string(count) + ", ";
    return text + std::to_string(SizeOf(Progress())) + " steps";
  }

 private:
  std::string Progress() const { return head_.File("progress"); }
  std::string Stop() const { return head_.File("stop"); }

  Child StartDriver() {
    return head_.Drive("mixed", {std::to_string(random_()), Progress(), Stop()});
  }

  bool SomeEnded() {
    for (Child& driver : drivers_) {
      if (driver.AwaitEnd(std::chrono::seconds(0)) != -1) return true;
    }
    return false;
  }

  // None ends by itself but for a wrong result.
  void CheckDrivers() {
    for (Child& driver : drivers_) {
      bool ended = driver.AwaitEnd(std::chrono::seconds(0)) != -1;
      INFO(driver.Output());
      REQUIRE_FALSE(ended);
    }
  }

  void KillDriver() {
    ++killed_["driver"];
    size_t which = random_() % drivers_.size();
    drivers_[which].Kill(SIGKILL);
    CHECK(drivers_[which].AwaitExitCode() == -SIGKILL);
    drivers_.erase(drivers_.begin() + static_cast<std::ptrdiff_t>(which));
    drivers_.push_back(StartDriver());
  }

  void KillKeeper() {
    pid_t keeper = head_.KeeperPid();
    if (keeper == 0) return;
    ++killed_["keeper"];
    kill(keeper, SIGKILL);
  }

  // Prefers a state by lot, so that the rare ones have their turn.
  void KillWorker() {
    static const char* const kStates[] = {"STARTING", "IDLE", "BUSY", "BLOCKED", "LEAVING"};
    std::string wanted = kStates[random_() % std::size(kStates)];
    std::vector<v1::WorkerInfo> workers;
    std::optional<v1::WorkerInfo> victim;
    WaitUntil(
        [&] {
          workers = head_.Workers();
          for (const v1::WorkerInfo& worker : workers) {
            if (worker.state() == wanted && worker.pid() > 0) victim = worker;
          }
          return victim.has_value();
        },
        std::chrono::milliseconds(100));
    if (!victim && !workers.empty()) victim = workers[random_() % workers.size()];
    if (!victim || victim->pid() <= 0) return;
    ++killed_["worker " + victim->state()];
    kill(static_cast<pid_t>(victim->pid()), SIGKILL);
  }

  TestHead& head_;
  Random random_;
  std::vector<Child> drivers_;
  std::map<std::string, int> killed_;
};

}  // namespace

TEST_CASE("whatever is killed, results are right and everything is given back", "[kill]") {
  uint64_t seed = Setting("KILN_SEED", 20251120);
  uint64_t rounds = Setting("KILN_ROUNDS", 60);
  INFO("KILN_SEED=" << seed << " KILN_ROUNDS=" << rounds);
  TestHead head({.num_cpus = 2, .store = "256MiB"});
  Killer killer(head, seed);
  for (uint64_t round = 0; round < rounds; ++round) {
    INFO("round " << round << ": " << killer.Describe());
    killer.Round();
  }
  INFO(killer.Describe());
  killer.Finish();
  CHECK(WaitUntil([&] { return head.IsIdle(); }, kDeadline));
  Session session = head.Connect();
  CHECK(session.Get(session.Submit(Add, 20, 22)) == 42);
}

}  // namespace kiln::testing
