// Cancelling tasks in each state they can be in.
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/cluster/files.h"
#include "tests/cluster/tasks.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

void UntilCancelled(const std::string& begun) {
  Append(begun, std::to_string(getpid()) + "\n");
  while (true) ThrowIfCancelled();
}
KILN_TASK(UntilCancelled);

// Sees that it shall stop and finishes all the same.
int FinishAnyway(const std::string& begun) {
  Append(begun, "x");
  WaitUntil([] { return Cancelled(); }, kDeadline);
  return 5;
}
KILN_TASK(FinishAnyway);

void Deaf(const std::string& begun) {
  Append(begun, std::to_string(getpid()) + "\n");
  while (true) WaitUntil([] { return false; }, kDeadline);
}
KILN_TASK(Deaf);

// Waits for children that end only when they are told to.
void Parent(const std::string& begun, int children) {
  std::vector<Ref<void>> refs;
  for (int i = 0; i < children; ++i) refs.push_back(CurrentSession().Submit(UntilCancelled, begun));
  CurrentSession().Get(refs);
}
KILN_TASK(Parent);

size_t LinesOf(const std::string& path) {
  std::string text = ReadFile(path);
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("a queued task that is cancelled never runs", "[cancel]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  auto running = session.Submit(UntilCancelled, head.File("begun"));
  REQUIRE(AwaitFile(head.File("begun")));
  auto queued = session.Submit(Note, head.File("queued"), "x");
  session.Cancel(queued);
  CHECK_THROWS_AS(session.Get(queued, kDeadline), TaskCancelledError);
  session.Cancel(running);
  CHECK_THROWS_AS(session.Get(running, kDeadline), TaskCancelledError);
  CHECK(session.Get(session.Submit(Note, head.File("other"), "x")) == 1);
  CHECK_FALSE(Exists(head.File("queued")));
}

TEST_CASE("cancelling a task that waits for arguments ends those that wait for it", "[cancel]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  auto running = session.Submit(FinishAnyway, head.File("begun"));
  auto waiting = session.Submit(Add, running, 1);
  auto last = session.With({.name = "last"}).Submit(Add, waiting, 1);
  REQUIRE(AwaitFile(head.File("begun")));
  session.Cancel(waiting);
  CHECK_THROWS_AS(session.Get(waiting, kDeadline), TaskCancelledError);
  try {
    session.Get(last, kDeadline);
    FAIL("no error came");
  } catch (const TaskCancelledError& error) {
    CHECK(error.task() == "Add");
    CHECK(error.chain() == std::vector<std::string>{"last"});
  }
  session.Cancel(running);
  CHECK(session.Get(running, kDeadline) == 5);
}

TEST_CASE("a task that finishes although it was asked to stop keeps its result", "[cancel]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  auto running = session.Submit(FinishAnyway, head.File("begun"));
  REQUIRE(AwaitFile(head.File("begun")));
  session.Cancel(running);
  CHECK(session.Get(running, kDeadline) == 5);
}

TEST_CASE("with force, a running task's worker is killed and replaced", "[cancel]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  auto deaf = session.Submit(Deaf, head.File("begun"));
  REQUIRE(WaitUntil([&] { return LinesOf(head.File("begun")) == 1; }, kDeadline));
  pid_t worker = std::stoi(ReadFile(head.File("begun")));
  REQUIRE(IsAlive(worker));
  session.Cancel(deaf, /*force=*/true);
  CHECK_THROWS_AS(session.Get(deaf, kDeadline), TaskCancelledError);
  CHECK(WaitUntil([&] { return !IsAlive(worker); }, kDeadline));
  CHECK(session.Get(session.Submit(Note, head.File("next"), "x")) == 1);
  CHECK(LinesOf(head.File("begun")) == 1);  // not tried again
}

TEST_CASE("cancelling what is finished changes nothing", "[cancel]") {
  TestHead head;
  Session session = head.Connect();
  auto done = session.Submit(Note, head.File("note"), "x");
  CHECK(session.Get(done) == 1);
  for (bool force : {false, true, true}) session.Cancel(done, force);
  auto put = session.Put(9);
  session.Cancel(put);
  CHECK(session.Get(done) == 1);
  CHECK(session.Get(put) == 9);
  CHECK(session.Get(session.Submit(Note, head.File("note"), "x")) == 1);
}

TEST_CASE("cancelling a parent cancels its children, running and queued", "[cancel]") {
  TestHead head({.num_cpus = 2});
  Session session = head.Connect();
  auto parent = session.Submit(Parent, head.File("begun"), 5);
  REQUIRE(WaitUntil([&] { return LinesOf(head.File("begun")) >= 2; }, kDeadline));
  session.Cancel(parent);
  CHECK_THROWS_AS(session.Get(parent, kDeadline), TaskCancelledError);
  CHECK(WaitUntil(
      [&] {
        v1::Status status = head.Status();
        return status.tasks_running() + status.tasks_ready() == 0;
      },
      kDeadline));
}

TEST_CASE("cancelling twice, and by force after asking, is one cancel", "[cancel]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  auto deaf = session.Submit(Deaf, head.File("begun"));
  REQUIRE(AwaitFile(head.File("begun")));
  session.Cancel(deaf);
  session.Cancel(deaf);
  CHECK(session.Wait(std::vector{deaf}, 1, std::chrono::milliseconds(50)).ready.empty());
  session.Cancel(deaf, /*force=*/true);
  session.Cancel(deaf, /*force=*/true);
  CHECK_THROWS_AS(session.Get(deaf, kDeadline), TaskCancelledError);
}

TEST_CASE("a driver that ends takes its tasks with it", "[cancel]") {
  TestHead head({.num_cpus = 2});
  {
    Session session = head.Connect();
    auto polite = session.Submit(UntilCancelled, head.File("begun"));
    auto deaf = session.Submit(Deaf, head.File("begun"));
    REQUIRE(WaitUntil([&] { return LinesOf(head.File("begun")) == 2; }, kDeadline));
  }
  CHECK(WaitUntil([&] { return head.IsIdle(); }, kDeadline));
}

}  // namespace kiln::testing
