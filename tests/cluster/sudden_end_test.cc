// Drivers and workers that end or stop in the middle of whatever they do, mostly of a write into
// their rings: everything comes back, and no other session notices.
//
// KILN_SEED chooses the moments (default: fixed), KILN_KILLS how many (default 150).
#include <signal.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "tests/cluster/files.h"
#include "tests/cluster/tasks.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

uint64_t Setting(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

// Calls of every kind without a pause, from several threads at once, until killed.
void CallWithoutEnd(const Session& session, uint32_t seed, const std::string& begun) {
  std::mt19937 random(seed);
  for (int round = 0;; ++round) {
    if (round == 1) Append(begun, "x");
    std::vector<Ref<int>> sums;
    for (int i = 0; i < 20; ++i) {
      sums.push_back(session.With({.max_retries = -1}).Submit(Add, round, i));
    }
    auto text = session.Put(std::string(random() % 60'000, 't'));  // many of them wrap the ring
    auto large = session.Put(std::string(100'000 + random() % 300'000, 'l'));
    if (session.Get(sums[random() % sums.size()]) < round) std::abort();
    if (session.Get(large).size() < 100'000) std::abort();
  }
}

const DriverProgram kFlatOut("flat-out", [](const Session& session, const auto& arguments) {
  const auto seed = static_cast<uint32_t>(std::stoul(arguments[0]));
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] { CallWithoutEnd(session, seed + i, arguments[1]); });
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
});

// A driver of this process that works all the while.
class Honest {
 public:
  explicit Honest(const TestHead& head)
      : session_(head.Connect()), thread_([this] {
          for (int i = 0; !stop_; ++i) {
            try {
              if (session_.Get(session_.With({.max_retries = -1}).Submit(Add, i, 1)) != i + 1) {
                wrong_ = "a sum";
              }
            } catch (const std::exception& error) {
              wrong_ = error.what();
            }
            if (!wrong_.empty()) return;
            ++rounds_;
          }
        }) {}
  ~Honest() { Join(); }
  // Waits for some more rounds. Returns: false if there were none.
  bool Works() {
    const uint64_t goal = rounds_ + 5;
    return WaitUntil([&] { return rounds_ >= goal; }, kDeadline);
  }
  // Returns: what went wrong; empty if nothing.
  std::string Finish() {
    Join();
    return wrong_;
  }

 private:
  void Join() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  Session session_;
  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> rounds_ = 0;
  std::string wrong_;  // the thread's, until it is joined
  std::thread thread_;
};

Child StartFlatOut(TestHead& head, uint32_t seed) {
  const std::string begun = head.File("begun-" + std::to_string(seed));
  Child driver = head.Drive("flat-out", {std::to_string(seed), begun});
  REQUIRE(WaitUntil([&] { return Exists(begun); }, kDeadline));
  return driver;
}

}  // namespace

TEST_CASE("a driver killed at any moment of its calls takes only itself along", "[kill]") {
  const uint64_t seed = Setting("KILN_SEED", 20251121);
  const uint64_t kills = Setting("KILN_KILLS", 150);
  INFO("KILN_SEED=" << seed << " KILN_KILLS=" << kills);
  std::mt19937 random(static_cast<uint32_t>(seed));
  TestHead head({.num_cpus = 2, .store = "256MiB"});
  Honest honest(head);
  for (uint64_t i = 0; i < kills; ++i) {
    INFO("kill " << i);
    Child driver = StartFlatOut(head, static_cast<uint32_t>(random()));
    // Somewhere inside a call.
    for (uint32_t n = random() % 3'000'000; n > 0; --n)
      std::atomic_signal_fence(std::memory_order_seq_cst);
    driver.Kill(SIGKILL);
    REQUIRE(driver.AwaitExitCode() == -SIGKILL);
    if (i % 10 == 0) REQUIRE(honest.Works());
  }
  CHECK(honest.Works());
  CHECK(honest.Finish() == "");
}

TEST_CASE("workers killed while they run tasks flat out lose no result", "[kill]") {
  std::mt19937 random(static_cast<uint32_t>(Setting("KILN_SEED", 20251122)));
  TestHead head;
  Honest honest(head);
  Child driver = StartFlatOut(head, 1);
  for (int i = 0; i < 60; ++i) {
    INFO("kill " << i);
    const std::vector<pid_t> workers = head.WorkerPids();
    if (!workers.empty()) kill(workers[random() % workers.size()], SIGKILL);
    for (uint32_t n = random() % 3'000'000; n > 0; --n)
      std::atomic_signal_fence(std::memory_order_seq_cst);
    if (i % 10 == 0) REQUIRE(honest.Works());
    REQUIRE(driver.AwaitEnd(std::chrono::seconds(0)) == -1);  // none of its results was wrong
  }
  CHECK(honest.Works());
  CHECK(honest.Finish() == "");
  driver.Kill(SIGKILL);
  driver.AwaitEnd();
}

TEST_CASE("a driver that is stopped in the middle of its calls stops nobody else", "[kill]") {
  TestHead head;
  Honest honest(head);
  Child driver = StartFlatOut(head, 1);
  for (int i = 0; i < 5; ++i) {
    driver.Kill(SIGSTOP);
    REQUIRE(honest.Works());
    driver.Kill(SIGCONT);
    REQUIRE(honest.Works());
  }
  CHECK(honest.Finish() == "");
  driver.Kill(SIGKILL);
  driver.AwaitEnd();
}

TEST_CASE("a head that is stopped for a while is waited for", "[kill]") {
  TestHead head;
  Honest honest(head);
  REQUIRE(honest.Works());
  Child driver = StartFlatOut(head, 1);
  for (int i = 0; i < 3; ++i) {
    kill(head.pid(), SIGSTOP);
    // Both drivers fill their rings, or wait for an answer.
    for (uint32_t n = 200'000'000; n > 0; --n) std::atomic_signal_fence(std::memory_order_seq_cst);
    kill(head.pid(), SIGCONT);
    REQUIRE(honest.Works());
  }
  CHECK(honest.Finish() == "");
  driver.Kill(SIGKILL);
  driver.AwaitEnd();
}

}  // namespace kiln::testing
