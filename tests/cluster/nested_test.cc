// Tasks that submit tasks and wait for them.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "tests/cluster/files.h"
#include "tests/cluster/tasks.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

// What Core::CoreOptions::max_workers promises: CPUs and limits::kExtraWorkers.
constexpr size_t kExtraWorkers = 8;

int64_t Fib(int n) {
  if (n < 2) return n;
  Session session = CurrentSession();
  auto a = session.Submit(Fib, n - 1);
  auto b = session.Submit(Fib, n - 2);
  return session.Get(a) + session.Get(b);
}
KILN_TASK(Fib);

// As Fib; notes each begin, and survives any number of crashes.
int64_t ToughFib(int n, const std::string& begun) {
  Append(begun, "x");
  if (n < 2) return n;
  auto tough = CurrentSession().With({.max_retries = -1});
  auto a = tough.Submit(ToughFib, n - 1, begun);
  auto b = tough.Submit(ToughFib, n - 2, begun);
  return CurrentSession().Get(a) + CurrentSession().Get(b);
}
KILN_TASK(ToughFib);

int Depth(int n) {
  if (n == 0) return 0;
  return 1 + CurrentSession().Get(CurrentSession().Submit(Depth, n - 1));
}
KILN_TASK(Depth);

int Square(int n) {
  return n * n;
}
KILN_TASK(Square);

// Takes what is ready first until all is there.
int SumByWait(int count) {
  Session session = CurrentSession();
  std::vector<Ref<int>> pending;
  for (int i = 0; i < count; ++i) pending.push_back(session.Submit(Square, i));
  int sum = 0;
  while (!pending.empty()) {
    auto found = session.Wait(pending);
    for (const Ref<int>& ref : found.ready) sum += session.Get(ref);
    pending = found.not_ready;
  }
  return sum;
}
KILN_TASK(SumByWait);

// Threads of the task's own use its session side by side.
int64_t SumByThreads(int threads) {
  Session session = CurrentSession();
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      for (int j = 0; j < 20; ++j) sum += session.Get(session.Submit(Square, i));
    });
  }
  for (std::thread& thread : running) thread.join();
  return sum;
}
KILN_TASK(SumByThreads);

// Waits for a ref that came inside a container, so that it is a wait of ours.
int GetFirst(const std::string& begun, const std::vector<Ref<int>>& refs) {
  Append(begun, "x");
  return CurrentSession().Get(refs.at(0));
}
KILN_TASK(GetFirst);

int AfterTimeout(const std::string& begun, const std::vector<Ref<void>>& refs) {
  Append(begun, "x");
  try {
    CurrentSession().Get(refs, std::chrono::milliseconds(20));
  } catch (const GetTimeoutError&) {
    return CurrentSession().Get(CurrentSession().Submit(Square, 3));
  }
  return -1;
}
KILN_TASK(AfterTimeout);

bool HasNoSession() {
  bool none = false;
  std::thread([&] {
    try {
      CurrentSession();
    } catch (const std::logic_error&) {
      none = true;
    }
  }).join();
  return none;
}
KILN_TASK(HasNoSession);

// Counts the head's workers all the time it lives.
class WorkerCounter {
 public:
  explicit WorkerCounter(const TestHead& head)
      : keeper_(head.KeeperPid()), thread_([this] { Run(); }) {}
  ~WorkerCounter() { Stop(); }

  // Returns: the most that were alive at once.
  size_t Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return most_;
  }

 private:
  void Run() {
    while (!stop_) {
      most_ = std::max(most_, ChildrenOf(keeper_).size());
      std::this_thread::yield();
    }
  }

  const pid_t keeper_;
  size_t most_ = 0;  // the thread's until it is joined
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE("fib(15) by tasks finishes on 2 CPUs with few processes", "[nested]") {
  TestHead head({.num_cpus = 2});
  Session session = head.Connect();
  WorkerCounter counter(head);
  CHECK(session.Get(session.Submit(Fib, 15), kDeadline) == 610);
  CHECK(counter.Stop() <= 2 + kExtraWorkers);
}

TEST_CASE("recursion finishes on one CPU too", "[nested]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  CHECK(session.Get(session.Submit(Fib, 10), kDeadline) == 55);
}

TEST_CASE("500 tasks that wait for one another need no process each", "[nested]") {
  TestHead head({.num_cpus = 2});
  Session session = head.Connect();
  WorkerCounter counter(head);
  CHECK(session.Get(session.Submit(Depth, 500), kDeadline) == 500);
  CHECK(counter.Stop() <= 2 + kExtraWorkers);
}

TEST_CASE("several drivers may recurse at once", "[nested]") {
  TestHead head({.num_cpus = 2});
  WorkerCounter counter(head);
  std::vector<Session> sessions;
  std::vector<Ref<int64_t>> refs;
  for (int i = 0; i < 4; ++i) {
    sessions.push_back(head.Connect());
    refs.push_back(sessions.back().Submit(Fib, 11));
  }
  for (size_t i = 0; i < 4; ++i) CHECK(sessions[i].Get(refs[i], kDeadline) == 89);
  CHECK(counter.Stop() <= 2 + kExtraWorkers);
}

TEST_CASE("tasks wait for some of their tasks, and their threads for others", "[nested]") {
  TestHead head;
  Session session = head.Connect();
  CHECK(session.Get(session.Submit(SumByWait, 30), kDeadline) == 29 * 30 * 59 / 6);
  CHECK(session.Get(session.Submit(SumByThreads, 4), kDeadline) == 20 * (0 + 1 + 4 + 9));
  CHECK(session.Get(session.Submit(HasNoSession)));
}

TEST_CASE("a task blocked in Get gives its CPU to others", "[nested]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  // The waiter is first and holds the only CPU; what it waits for comes later and needs that CPU.
  auto gate =
      session.With({.num_cpus = 0}).Submit(Gate, head.File("gate-begun"), head.File("gate"));
  REQUIRE(AwaitFile(head.File("gate-begun")));
  Ref<int> later = session.Submit(Square, 6);
  auto waiter = session.Submit(GetFirst, head.File("begun"), std::vector<Ref<int>>{later});
  CHECK(session.Get(waiter, kDeadline) == 36);
  auto timed = session.Submit(AfterTimeout, head.File("timed"), std::vector<Ref<void>>{gate});
  CHECK(session.Get(timed, kDeadline) == 9);
  Append(head.File("gate"), "x");
  session.Get(gate);
  CHECK(WaitUntil([&] { return head.Status().used().num_cpus() == 0; }, kDeadline));
}

TEST_CASE("nested tasks come right although workers are killed all the while", "[nested][kill]") {
  TestHead head({.num_cpus = 2});
  Session session = head.Connect();
  std::mt19937 random(20251120);
  std::string begun = head.File("begun");
  auto result = session.With({.max_retries = -1}).Submit(ToughFib, 11, begun);
  for (int round = 0; round < 10; ++round) {
    size_t goal = SizeOf(begun) + random() % 40;
    // Progress may end early: the result is there then.
    REQUIRE(WaitUntil(
        [&] {
          return SizeOf(begun) >= goal ||
                 !session.Wait(std::vector{result}, 1, std::chrono::seconds(0)).ready.empty();
        },
        kDeadline));
    std::vector<pid_t> workers = head.WorkerPids();
    if (!workers.empty()) kill(workers[random() % workers.size()], SIGKILL);
  }
  CHECK(session.Get(result, kDeadline) == 89);
}

}  // namespace kiln::testing
