#include "common/fork_server.h"

#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "daemon/process/environment.h"
#include "daemon/process/keeper.h"
#include "daemon/process/process_tree.h"
#include "tests/unit/launches.h"
#include "tests/unit/process_fixture.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/wait_until.h"

namespace kiln::process {
namespace {

using testing::ForkHost;
using testing::kDeadline;
using testing::KeeperFixture;
using testing::WaitUntil;

// A keeper with a fork server.
class Forks : public testing::Launches {
 public:
  Forks() { server = StartServer(); }

  Keeper::LaunchId StartServer(std::vector<std::string> args = {}) {
    args.insert(args.begin(), ForkHost());
    LaunchSpec spec = Spec(std::move(args));
    spec.fork_server = true;
    return keeper->Launch(spec);
  }
  LaunchSpec Fork(const std::string& setup, Keeper::LaunchId of = 0) const {
    LaunchSpec spec = Spec({"worker"});
    spec.fork_of = of != 0 ? of : server;
    spec.setup = setup;
    return spec;
  }
  bool Alive(Keeper::LaunchId id) { return IsAlive(records[id].pid); }

  Keeper::LaunchId server = 0;
};

TEST_CASE("a fork has the environment, directory, setup and descriptors it was given") {
  Forks forks;
  LaunchSpec spec = forks.Fork(
      "echo \"$X|$(pwd)|$(umask)|$KILN_FORK_SERVER|$SERVER_ONLY\"; echo error >&2; "
      "ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0; "
      "test $(cut -d' ' -f6 /proc/self/stat) = $$ && echo own; echo $PPID");
  spec.env.push_back("X=y\nz");
  spec.working_dir = "/usr";
  spec.umask = 027;
  const auto record = forks.Run(spec);
  // 3 is the directory that ls lists.
  CHECK(record.output == "y\nz|/usr|0027||\nerror\n0 1 2 3 /dev/null\nown\n" +
                             std::to_string(forks.keeper->pid()) + "\n");
  CHECK(record.report.exit_code == 0);
  CHECK(record.pid > 0);
}

TEST_CASE("a fork has the signals that an executed program would have") {
  Forks forks;
  CHECK(forks.Run(forks.Fork("signals")).output == "1 1 1\n");
}

TEST_CASE("the end of a fork is told by exit code or signal") {
  Forks forks;
  CHECK(forks.Run(forks.Fork("exit 3")).report.exit_code == 3);
  CHECK(Describe(forks.Run(forks.Fork("kill 9")).report) == "killed by signal 9 (SIGKILL)");
  CHECK(forks.Run(forks.Fork("kill 6")).report.signal == SIGABRT);
  CHECK(forks.records[forks.server].exits == 0);
}

TEST_CASE("a fork server and its workers hear of each fork") {
  testing::Launches launches;
  LaunchSpec spec = launches.Spec({ForkHost()});
  spec.env.push_back("KILN_FORK_HOST_CALLS=1");
  spec.fork_server = true;
  const auto server = launches.keeper->Launch(spec);
  spec.fork_server = false;
  spec.fork_of = server;
  spec.setup = "echo work";
  CHECK(launches.Run(spec).output == "child call\nwork\n");
  REQUIRE(launches.RunUntil([&] {
    launches.ReadOutput(&launches.records[server]);
    return launches.records[server].output.ends_with("parent call\n");
  }));
  CHECK(launches.records[server].output == "not written yetbefore call\nparent call\n");
}

TEST_CASE("a fork that cannot enter its directory says so and leaves nothing behind") {
  Forks forks;
  forks.Run(forks.Fork("exit 0"));  // it is ready
  LaunchSpec spec = forks.Fork("exit 0");
  spec.working_dir = "/no/such/dir";
  const auto record = forks.Run(spec);
  CHECK_FALSE(record.report.started);
  CHECK(record.report.error_number == ENOENT);
  CHECK(Describe(record.report) ==
        "could not enter the working directory /no/such/dir: No such file or directory");
  CHECK(record.pid == 0);
  CHECK(WaitUntil([&] { return forks.CountMarked() == 1; }, kDeadline));  // the server
  CHECK(forks.Run(forks.Fork("echo fine")).output == "fine\n");
}

TEST_CASE("forks that end at once each end once with their own code") {
  Forks forks;
  std::vector<Keeper::LaunchId> ids;
  for (int i = 0; i < 500; ++i) {
    ids.push_back(forks.keeper->Launch(forks.Fork("exit " + std::to_string(i % 100))));
  }
  REQUIRE(forks.RunUntil([&] { return forks.exited == 500; }));
  for (size_t i = 0; i < ids.size(); ++i) {
    CHECK(forks.records[ids[i]].exits == 1);
    CHECK(forks.records[ids[i]].report.exit_code == static_cast<int>(i % 100));
    CHECK(forks.records[ids[i]].pid > 0);
  }
  // One at a time too, so that each is alone when it ends.
  for (int i = 0; i < 100; ++i) CHECK(forks.Run(forks.Fork("exit 7")).report.exit_code == 7);
  // Left are the server and no zombie.
  CHECK(WaitUntil([&] { return DescendantsOf(forks.keeper->pid()).size() == 1; }, kDeadline));
}

TEST_CASE("many forks run at once, beside launches that are executed") {
  Forks forks;
  std::vector<Keeper::LaunchId> ids;
  for (int i = 0; i < 50; ++i) {
    ids.push_back(forks.keeper->Launch(i % 5 == 0 ? forks.Spec({"sleep", "1000"})
                                                  : forks.Fork("exec sleep 1000")));
  }
  REQUIRE(forks.RunUntil([&] {
    std::set<pid_t> pids;
    for (const auto id : ids) pids.insert(forks.records[id].pid);
    return pids.size() == ids.size() && !pids.contains(0);
  }));
  for (const auto id : ids) forks.keeper->Signal(id, SIGTERM, true);
  REQUIRE(forks.RunUntil([&] { return forks.exited == 50; }));
  for (const auto id : ids) CHECK(forks.records[id].report.signal == SIGTERM);
}

TEST_CASE("a signal to a fork that was just asked for arrives") {
  Forks forks;
  for (int i = 0; i < 40; ++i) {
    if (i == 20) forks.server = forks.StartServer();  // also while the server starts
    const auto id = forks.keeper->Launch(forks.Fork("exec sleep 1000"));
    forks.keeper->Signal(id, i % 2 == 0 ? SIGTERM : SIGKILL, i % 4 < 2);
    REQUIRE(forks.RunUntilExit(id));
    CHECK(forks.records[id].report.signal == (i % 2 == 0 ? SIGTERM : SIGKILL));
    forks.keeper->Signal(id, SIGTERM, true);  // ended: ignored
  }
  CHECK(WaitUntil([&] { return forks.CountMarked() == 2; }, kDeadline));  // the servers
}

TEST_CASE("workers outlive their killed server, and what it did not fork fails") {
  Forks forks;
  const auto worker = forks.StartUntil(forks.Fork("echo up; read x; sleep 1000"), "up");
  const auto forking = forks.StartUntil(forks.Fork("forks"), "up");
  const pid_t server = forks.records[forks.server].pid;
  REQUIRE(kill(server, SIGSTOP) == 0);
  const auto late = forks.keeper->Launch(forks.Fork("exec sleep 1000"));
  forks.Run(forks.Shell("true"));  // the order was sent by now
  REQUIRE(kill(server, SIGKILL) == 0);
  REQUIRE(forks.RunUntilExit(late));
  CHECK(forks.records[forks.server].report.signal == SIGKILL);  // told first
  CHECK_FALSE(forks.records[late].report.started);
  CHECK(Describe(forks.records[late].report) ==
        "could not start worker: its fork server has ended");
  const auto later = forks.Run(forks.Fork("exit 0"));
  CHECK_FALSE(later.report.started);

  forks.Run(forks.Shell("true"));  // nothing that is looked for takes them
  CHECK(forks.Alive(worker));
  CHECK(forks.records[worker].exits == 0);
  CHECK(forks.records[forking].exits == 0);
  // sh, sleep, and three that fork without exec
  CHECK(WaitUntil([&] { return forks.CountMarked() == 5; }, kDeadline));

  forks.server = forks.StartServer();
  CHECK(forks.Run(forks.Fork("echo again")).output == "again\n");
  forks.keeper->Signal(worker, SIGKILL, true);
  forks.keeper->Signal(forking, SIGKILL, true);
  CHECK(forks.RunUntilExit(worker));
  CHECK(forks.RunUntilExit(forking));
  CHECK(WaitUntil([&] { return forks.CountMarked() == 1; }, kDeadline));
}

TEST_CASE("what a worker has started ends with it, whether executed or forked") {
  Forks forks;
  const auto other = forks.StartUntil(forks.Fork("forks"), "up");
  const auto forking = forks.StartUntil(forks.Fork("forks"), "up");
  forks.keeper->Signal(forking, SIGKILL, false);
  REQUIRE(forks.RunUntilExit(forking));
  CHECK(forks.CountMarked() == 4);  // the server, the other worker and its two

  const auto executing = forks.StartUntil(
      forks.Fork("setsid sh -c 'trap \"\" TERM; echo up; sleep 1000' & wait"), "up");
  CHECK(forks.CountMarked() >= 6);
  kill(forks.records[executing].pid, SIGKILL);
  REQUIRE(forks.RunUntilExit(executing));
  CHECK(WaitUntil([&] { return forks.CountMarked() == 4; }, kDeadline));
  CHECK(forks.records[other].exits == 0);
  CHECK(forks.records[forks.server].exits == 0);
}

TEST_CASE("a fork server that fails at start is told of before the forks that waited for it") {
  Forks forks;
  const auto server = forks.StartServer({"fails"});
  std::vector<Keeper::LaunchId> order;
  forks.on_exited = [&, before = forks.on_exited](Keeper::LaunchId id, const ExitReport& report) {
    order.push_back(id);
    before(id, report);
  };
  const auto first = forks.keeper->Launch(forks.Fork("exit 0", server));
  const auto second = forks.keeper->Launch(forks.Fork("exit 0", server));
  REQUIRE(forks.RunUntil([&] { return forks.exited == 3; }));
  CHECK(order == std::vector<Keeper::LaunchId>{server, first, second});
  CHECK(forks.records[server].report.exit_code == 1);
  CHECK_FALSE(forks.records[first].report.started);

  LaunchSpec missing = forks.Spec({"/no/such/server"});
  missing.fork_server = true;
  const auto none = forks.keeper->Launch(missing);
  const auto third = forks.keeper->Launch(forks.Fork("exit 0", none));
  REQUIRE(forks.RunUntil([&] { return forks.exited == 5; }));
  CHECK(forks.records[none].report.exit_code == 127);
  CHECK(order[3] == none);
  CHECK_FALSE(forks.records[third].report.started);
}

TEST_CASE("a fork server that never gets ready holds up nobody, and its forks can be killed") {
  Forks forks;
  const auto server = forks.StartServer({"hangs"});
  std::vector<Keeper::LaunchId> waiting;
  for (int i = 0; i < 40; ++i) waiting.push_back(forks.keeper->Launch(forks.Fork("true", server)));
  CHECK(forks.Run(forks.Shell("echo fine")).output == "fine\n");
  CHECK(forks.Run(forks.Fork("echo fine")).output == "fine\n");
  for (const auto id : waiting) forks.keeper->Signal(id, SIGKILL, true);
  REQUIRE(forks.RunUntil([&] { return forks.exited == 42; }));
  CHECK(forks.records[waiting[0]].report.signal == SIGKILL);
  CHECK(forks.records[server].exits == 0);
}

TEST_CASE("a stopped fork server is killed when a worker that it owes is") {
  Forks forks;
  forks.Run(forks.Fork("exit 0"));
  REQUIRE(kill(forks.records[forks.server].pid, SIGSTOP) == 0);
  const auto id = forks.keeper->Launch(forks.Fork("exec sleep 1000"));
  forks.Run(forks.Shell("true"));
  forks.keeper->Signal(id, SIGKILL, true);
  REQUIRE(forks.RunUntilExit(id));
  CHECK(forks.records[forks.server].report.signal == SIGKILL);
  CHECK(forks.CountMarked() == 0);
}

TEST_CASE("a killed keeper's fork servers and workers are ended and reported") {
  Forks forks;
  const auto worker = forks.StartUntil(forks.Fork("forks"), "up");
  const auto waiting = forks.keeper->Launch(forks.Fork("exit 0", forks.StartServer({"hangs"})));
  forks.Run(forks.Shell("true"));
  REQUIRE(kill(forks.keeper->pid(), SIGKILL) == 0);
  REQUIRE(forks.RunUntil([&] { return forks.exited == 5; }));
  CHECK(forks.records[worker].report.signal == SIGKILL);
  CHECK(forks.records[waiting].exits == 1);
  CHECK(forks.CountMarked() == 0);
  CHECK_FALSE(forks.Run(forks.Fork("exit 0")).report.started);
  forks.server = forks.StartServer();
  CHECK(forks.Run(forks.Fork("echo again")).output == "again\n");
}

TEST_CASE("kill -9 of a head ends its fork servers and their workers") {
  testing::TempDir temp;
  const std::string mark = "KILN_TEST=" + temp.path();
  std::vector<std::string> words{testing::KeeperHost(), "--fork-head", temp / "dir", ForkHost(),
                                 "forks"};
  std::vector<char*> args;
  for (std::string& word : words) args.push_back(word.data());
  args.push_back(nullptr);
  std::vector<std::string> variables = OwnEnvironment();
  variables.push_back(mark);
  std::vector<char*> env;
  for (std::string& variable : variables) env.push_back(variable.data());
  env.push_back(nullptr);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_t head = 0;
  REQUIRE(posix_spawn(&head, args[0], nullptr, nullptr, args.data(), env.data()) == 0);
  // head, keeper, server, and two workers with two forks each
  REQUIRE(WaitUntil([&] { return KeeperFixture::CountProcesses(mark) == 9; }, kDeadline));
  REQUIRE(kill(head, SIGKILL) == 0);
  CHECK(WaitUntil([&] { return KeeperFixture::CountProcesses(mark) == 0; }, kDeadline));
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

}  // namespace
}  // namespace kiln::process
