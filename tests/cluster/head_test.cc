// The head's own life: started, stopped, killed, beside others.
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "tests/cluster/files.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

int Double(int value) {
  return 2 * value;
}
KILN_TASK(Double);

// Says that it runs, then does nothing until the gate is open or it is asked to stop.
bool HoldUntil(const std::string& begun, const std::string& gate) {
  Append(begun, "x");
  while (!WaitUntil([&] { return Exists(gate) || Cancelled(); }, kDeadline)) {
  }
  return Exists(gate);
}
KILN_TASK(HoldUntil);

// Waits for a task that never ends, and says how the wait ended.
const DriverProgram kGetter("getter", [](const Session& session, const auto& arguments) {
  auto ref = session.Submit(HoldUntil, arguments[0], "/nowhere");
  try {
    session.Get(ref);
  } catch (const DisconnectedError&) {
    return 42;
  }
  return 1;
});

}  // namespace

TEST_CASE("kiln start returns when the head can serve", "[head]") {
  TestHead head;
  Session session = head.Connect();
  CHECK(session.Get(session.Submit(Double, 21)) == 42);
  CHECK(session.num_cpus() == 2);
  CHECK(session.address() == head.address());
}

TEST_CASE("sessions use the transport that KILN_TRANSPORT asks for", "[head]") {
  TestHead head;
  Session session = head.Connect();
  CHECK(session.Get(session.Submit(Double, 1)) == 2);
  const char* asked = std::getenv("KILN_TRANSPORT");
  std::vector<v1::SessionInfo> sessions = head.Sessions();
  CHECK(sessions.size() >= 2);  // ours and a worker's at least
  for (const v1::SessionInfo& info : sessions) {
    CHECK((asked ? info.transport() == asked
                 : info.transport() == "grpc" || info.transport() == "shm"));
  }
}

TEST_CASE("a second start in the same directory fails and names the head's pid", "[head]") {
  TestHead head;
  Child second = head.Kiln({"start", "--head"});
  CHECK(second.AwaitExitCode() == 1);
  CHECK(second.Output().find(std::to_string(head.pid())) != std::string::npos);
  CHECK(second.Output().find("kiln stop") != std::string::npos);
  CHECK(head.Status().pid() == head.pid());
}

TEST_CASE("two heads live side by side", "[head]") {
  TestHead first, second;
  Session one = first.Connect();
  {
    Session two = second.Connect();
    CHECK(one.Get(one.Submit(Double, 1)) == 2);
    CHECK(two.Get(two.Submit(Double, 2)) == 4);
  }
  CHECK(second.Stop() == 0);
  CHECK(one.Get(one.Submit(Double, 3)) == 6);
}

TEST_CASE("a directory left by a killed head is cleaned by the next start", "[head]") {
  TestHead head;
  // Head and keeper at once: nobody is left to clean up.
  pid_t keeper = head.KeeperPid();
  REQUIRE(keeper > 0);
  kill(keeper, SIGSTOP);
  head.Kill();
  REQUIRE(WaitUntil([&] { return !IsAlive(head.pid()); }, kDeadline));
  kill(keeper, SIGKILL);
  REQUIRE(WaitUntil([&] { return ProcessesNaming(head.dir()).empty(); }, kDeadline));
  REQUIRE(Exists(head.dir() + "/head.json"));

  CHECK(head.Kiln({"status"}).AwaitExitCode() != 0);
  Child start = head.Kiln({"start", "--head", "--num-cpus", "1", "--object-store-memory", "64MiB"});
  CHECK(start.AwaitExitCode() == 0);
  INFO(start.Output());
  CHECK(head.Kiln({"status"}).AwaitExitCode() == 0);
  CHECK(head.Stop() == 0);
}

TEST_CASE("when the head is killed, workers, jobs and their grandchildren are gone", "[head]") {
  TestHead head;
  Session session = head.Connect();
  auto running = session.Submit(HoldUntil, head.File("begun"), "/nowhere");
  std::string pid_file = head.File("grandchild");
  // The grandchild leaves the job's process group and session.
  Child submit = head.Kiln({"submit", "--no-wait", "--", "sh", "-c",
                            "setsid sh -c 'echo $$ > " + pid_file + "; exec sleep 1000' & wait"});
  REQUIRE(submit.AwaitExitCode() == 0);
  REQUIRE(AwaitFile(head.File("begun")));
  REQUIRE(WaitUntil([&] { return ReadFile(pid_file).ends_with('\n'); }, kDeadline));
  pid_t grandchild = std::stoi(ReadFile(pid_file));
  std::vector<pid_t> workers = head.WorkerPids();
  REQUIRE(workers.size() >= 2);
  REQUIRE(IsAlive(grandchild));

  head.Kill();
  CHECK(WaitUntil([&] { return head.IsGone(); }, kDeadline));
  CHECK_FALSE(IsAlive(grandchild));
  for (pid_t worker : workers) CHECK_FALSE(IsAlive(worker));
  CHECK_THROWS_AS(session.Get(running), DisconnectedError);
  CHECK_THROWS_AS(session.Get(session.Submit(Double, 1)), DisconnectedError);
}

TEST_CASE("drivers that wait in Get when the head is killed are told", "[head]") {
  TestHead head;
  std::vector<Child> drivers;
  for (int i = 0; i < 2; ++i) drivers.push_back(head.Drive("getter", {head.File("begun")}));
  REQUIRE(WaitUntil([&] { return SizeOf(head.File("begun")) == 2; }, kDeadline));
  head.Kill();
  for (Child& driver : drivers) {
    CHECK(driver.AwaitExitCode() == 42);
    INFO(driver.Output());
  }
}

TEST_CASE("when the keeper is killed, the head goes on and runs new tasks", "[head]") {
  TestHead head;
  Session session = head.Connect();
  CHECK(session.Get(session.Submit(Double, 1)) == 2);
  for (int round = 0; round < 3; ++round) {
    pid_t keeper = head.KeeperPid();
    std::vector<pid_t> workers = head.WorkerPids();
    REQUIRE(keeper > 0);
    kill(keeper, SIGKILL);
    CHECK(session.Get(session.Submit(Double, round)) == 2 * round);
    for (pid_t worker : workers) {
      CHECK(WaitUntil([&] { return !IsAlive(worker); }, kDeadline));
    }
  }
}

TEST_CASE("stop lets running tasks end within the grace period", "[head]") {
  TestHead head;
  Session session = head.Connect();
  auto held = session.Submit(HoldUntil, head.File("begun"), head.File("gate"));
  REQUIRE(AwaitFile(head.File("begun")));
  // Asked to stop, the task returns at once; its result still arrives.
  CHECK(head.Stop({"--grace", "30"}) == 0);
  bool told = false;
  try {
    told = !session.Get(held);
  } catch (const Error&) {
    told = true;  // cancelled, or the goodbye was faster
  }
  CHECK(told);
  CHECK(head.IsGone());
}

TEST_CASE("stop --force does not wait for a task that ignores it", "[head]") {
  TestHead head;
  {
    Session session = head.Connect();
    auto held = session.Submit(HoldUntil, head.File("begun"), "/nowhere");
    REQUIRE(AwaitFile(head.File("begun")));
    CHECK(head.Stop({"--force"}) == 0);
    CHECK_THROWS_AS(session.Get(held), Error);
  }
  CHECK(head.IsGone());
}

TEST_CASE("stopping twice says that nothing runs", "[head]") {
  TestHead head;
  CHECK(head.Stop() == 0);
  Child again = head.Kiln({"stop"});
  CHECK(again.AwaitExitCode() == 0);
  CHECK(again.Output().find("No head is running") != std::string::npos);
}

}  // namespace kiln::testing
