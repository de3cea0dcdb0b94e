#include "daemon/process/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/session_dir.h"
#include "daemon/process/daemonize.h"
#include "daemon/process/process_tree.h"
#include "tests/unit/launches.h"
#include "tests/unit/process_fixture.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/wait_until.h"

namespace kiln::process {
namespace {

using testing::kDeadline;
using testing::KeeperFixture;
using testing::Launches;
using testing::ReadFile;
using testing::TempDir;
using testing::WaitUntil;

TEST_CASE("a launch has the arguments, environment, directory and descriptors it was given") {
  Launches launches;
  LaunchSpec spec = launches.Spec({"sh", "-c",
                                   "echo \"$0|$1|$X|$(pwd)|$(umask)\"; echo error >&2; "
                                   "ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0",
                                   "a b", ""});
  spec.env.push_back("X=y\nz");
  spec.working_dir = "/usr";
  const auto record = launches.Run(spec);
  // 3 is the directory that ls lists.
  CHECK(record.output == "a b||y\nz|/usr|0022\nerror\n0 1 2 3 /dev/null\n");
  CHECK(record.report.exit_code == 0);
  CHECK(record.pid > 0);
}

TEST_CASE("a launch has default signals and, if asked, a session of its own") {
  Launches launches;
  // Of the ignored ones without 32 and 33, the C library's own.
  const std::string script =
      "grep -E 'Sig(Blk|Ign)' /proc/self/status | sed s/180000000/000000000/ | tr -s '\\t\\n' ' '; "
      "test $(cut -d' ' -f6 /proc/self/stat) = $$ && echo own";
  const std::string plain = "SigBlk: 0000000000000000 SigIgn: 0000000000000000 ";
  CHECK(launches.Run(launches.Shell(script)).output == plain + "own\n");
  LaunchSpec spec = launches.Shell(script);
  spec.own_session = false;
  CHECK(launches.Run(spec).output == plain);
}

TEST_CASE("the end of a launch is told by exit code or signal") {
  Launches launches;
  const auto coded = launches.Run(launches.Shell("exit 3"));
  CHECK(coded.report.exit_code == 3);
  CHECK(Describe(coded.report) == "exit code 3");
  const auto killed = launches.Run(launches.Shell("kill -9 $$"));
  CHECK(killed.report.signal == SIGKILL);
  CHECK(killed.report.exit_code == -1);
  CHECK(Describe(killed.report) == "killed by signal 9 (SIGKILL)");
}

TEST_CASE("a launch that cannot start says why, as a shell would") {
  Launches launches;
  const auto missing = launches.Run(launches.Spec({"no-such-command"}));
  CHECK_FALSE(missing.report.started);
  CHECK(missing.report.exit_code == 127);
  CHECK(Describe(missing.report) == "could not start no-such-command: command not found");

  const auto no_file = launches.Run(launches.Spec({"/no/such/file"}));
  CHECK(no_file.report.exit_code == 127);
  CHECK(Describe(no_file.report) == "could not start /no/such/file: No such file or directory");

  const auto directory = launches.Run(launches.Spec({"/usr"}));
  CHECK(directory.report.exit_code == 126);
  CHECK(Describe(directory.report) == "could not start /usr: Permission denied");

  LaunchSpec spec = launches.Shell("true");
  spec.working_dir = "/no/such/dir";
  const auto no_dir = launches.Run(spec);
  CHECK(no_dir.report.exit_code == 126);
  CHECK(no_dir.report.error_number == ENOENT);
  CHECK(Describe(no_dir.report) ==
        "could not enter the working directory /no/such/dir: No such file or directory");
  CHECK(no_dir.pid == 0);
}

TEST_CASE("the command is searched in the PATH of its own environment") {
  Launches launches;
  const std::string program = launches.temp / "only-here";
  testing::WriteFile(program, "#!/bin/sh\necho found\n");
  REQUIRE(chmod(program.c_str(), 0700) == 0);
  LaunchSpec spec = launches.Spec({"only-here"});
  spec.env = {"PATH=" + launches.temp.path()};
  CHECK(launches.Run(spec).output == "found\n");
}

TEST_CASE("an environment of a megabyte arrives") {
  Launches launches;
  LaunchSpec spec = launches.Shell("env | wc -c");
  const std::string value(100'000, 'v');
  for (int i = 0; i < 12; ++i) spec.env.push_back("BIG" + std::to_string(i) + "=" + value);
  const auto record = launches.Run(spec);
  CHECK(record.report.exit_code == 0);
  CHECK(std::stol(record.output) > 1'200'000);
  spec.env.push_back("TOO_BIG=" + std::string(200'000, 'v'));  // beyond one variable's limit
  CHECK(launches.Run(spec).report.error_number == E2BIG);
}

TEST_CASE("200 quick launches each end once and leave no zombie") {
  Launches launches;
  constexpr int kLaunches = 200;
  for (int i = 0; i < kLaunches; ++i) launches.keeper->Launch(launches.Shell("exit 7"));
  REQUIRE(launches.RunUntil([&] { return launches.exited == kLaunches; }));
  for (const auto& [id, record] : launches.records) {
    CHECK(record.exits == 1);
    CHECK(record.report.exit_code == 7);
  }
  CHECK(WaitUntil([&] { return DescendantsOf(launches.keeper->pid()).empty(); }, kDeadline));
}

TEST_CASE("what a launch leaves behind is ended with it, also what left its session") {
  Launches launches;
  const auto record = launches.Run(
      launches.Shell("sleep 1000 & setsid sh -c 'trap \"\" TERM; echo up; sleep 1000' & "
                     "while ! pgrep -s 0 sleep > /dev/null; do :; done; exit 5"));
  CHECK(record.report.exit_code == 5);
  CHECK(launches.CountMarked() == 0);
  char byte;  // the pipe ends: nobody can write any more
  CHECK(WaitUntil([&] { return read(record.output_fd, &byte, 1) == 0; }, kDeadline));
}

TEST_CASE("other launches are not taken for what an ended one left behind") {
  Launches launches;
  const auto other = launches.StartUntil(launches.Shell("echo up; exec sleep 1000"), "up");
  launches.Run(launches.Shell("true"));
  CHECK(launches.records[other].exits == 0);
  launches.keeper->Signal(other, SIGKILL, true);
  CHECK(launches.RunUntilExit(other));
}

TEST_CASE("after a group signal what outlives the first process may end in its own way") {
  Launches launches;
  const auto id = launches.StartUntil(
      launches.Shell("sh -c 'trap \"sleep 0.05; echo bye; exit\" TERM; echo up; "
                     "while :; do sleep 0.01; done' & wait"),
      "up");
  launches.keeper->Signal(id, SIGTERM, true);
  REQUIRE(launches.RunUntilExit(id));
  launches.ReadOutput(&launches.records[id]);
  CHECK(launches.records[id].report.signal == SIGTERM);
  CHECK(launches.records[id].output.find("bye") != std::string::npos);
  CHECK(launches.CountMarked() == 0);
}

TEST_CASE("a group SIGKILL ends what ignores every other signal") {
  Launches launches;
  const auto id = launches.StartUntil(
      launches.Shell("trap '' TERM; setsid sh -c 'echo up; sleep 1000; sleep 1000' & "
                     "sleep 1000; sleep 1000"),
      "up");
  launches.keeper->Signal(id, SIGTERM, true);
  launches.keeper->Signal(id, SIGKILL, true);
  REQUIRE(launches.RunUntilExit(id));
  CHECK(launches.records[id].report.signal == SIGKILL);
  CHECK(launches.CountMarked() == 0);
}

TEST_CASE("a signal to a launch that was just asked for arrives") {
  Launches launches;
  for (int i = 0; i < 20; ++i) {
    const auto id = launches.keeper->Launch(launches.Spec({"sleep", "1000"}));
    launches.keeper->Signal(id, i % 2 == 0 ? SIGTERM : SIGKILL, i % 4 < 2);
    REQUIRE(launches.RunUntilExit(id));
    CHECK(launches.records[id].report.signal == (i % 2 == 0 ? SIGTERM : SIGKILL));
    launches.keeper->Signal(id, SIGTERM, true);  // ended: ignored
  }
}

TEST_CASE("the keeper does not heed the signals that end other programs") {
  Launches launches;
  launches.Run(launches.Shell("true"));
  const pid_t keeper = launches.keeper->pid();
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1}) {
    REQUIRE(kill(keeper, signal) == 0);
  }
  CHECK(launches.Run(launches.Shell("echo fine")).output == "fine\n");
  CHECK(launches.keeper->pid() == keeper);
}

TEST_CASE("a killed keeper's launches are reported and ended, and another keeper takes over") {
  Launches launches;
  const std::string script = "setsid sh -c 'sleep 1000; :' & sleep 1000 & echo up; wait";
  const auto first = launches.StartUntil(launches.Shell(script), "up");
  const auto second = launches.StartUntil(launches.Shell(script), "up");
  const pid_t old_keeper = launches.keeper->pid();
  REQUIRE(kill(old_keeper, SIGKILL) == 0);
  REQUIRE(launches.RunUntil([&] { return launches.exited == 2; }));
  for (const auto id : {first, second}) {
    CHECK(launches.records[id].exits == 1);
    CHECK(launches.records[id].report.signal == SIGKILL);
  }
  CHECK(launches.CountMarked() == 0);
  CHECK(launches.keeper->pid() != old_keeper);
  CHECK(launches.Run(launches.Shell("echo again")).output == "again\n");
}

TEST_CASE("launches asked for while the keeper dies all end, and none is lost") {
  Launches launches;
  for (int round = 0; round < 5; ++round) {
    const int before = launches.exited;
    for (int i = 0; i < 30; ++i) launches.keeper->Launch(launches.Spec({"true"}));
    kill(launches.keeper->pid(), SIGKILL);
    for (int i = 0; i < 30; ++i) launches.keeper->Launch(launches.Spec({"true"}));
    REQUIRE(launches.RunUntil([&] { return launches.exited == before + 60; }));
  }
  for (const auto& [id, record] : launches.records) CHECK(record.exits == 1);
  CHECK(launches.CountMarked() == 0);
}

TEST_CASE("a keeper that cannot run is an error, or ends its launches") {
  EventLoop loop;
  KeeperOptions options;
  options.executable = "/no/such/file";
  const auto started = Keeper::Start(&loop, {}, {}, options);
  REQUIRE_FALSE(started.ok());
  CHECK(started.status().code() == Code::kUnavailable);

  Launches launches("/bin/false");
  const auto id = launches.keeper->Launch(launches.Shell("true"));
  REQUIRE(launches.RunUntilExit(id));
  CHECK(launches.records[id].report.signal == SIGKILL);
}

TEST_CASE("the end of the keeper object ends all it started and removes the files") {
  std::optional<Launches> launches(std::in_place);
  const std::string mark = launches->Mark();
  const std::string file = launches->temp / "remove-me";
  testing::WriteFile(file, "");
  launches->StartUntil(launches->Shell("setsid sleep 1000 & echo up; wait"), "up");
  const pid_t keeper = launches->keeper->pid();
  const Time before = Clock::now();
  launches->keeper.reset();
  CHECK(Clock::now() - before < seconds(1));
  CHECK(KeeperFixture::CountProcesses(mark) == 0);
  CHECK_FALSE(IsAlive(keeper));
  CHECK_FALSE(std::filesystem::exists(file));
}

// A head in another process, which can be killed.
class KillableHead {
 public:
  explicit KillableHead(const std::string& script) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);  // its keeper comes to us, and so can be seen to end
    std::vector<std::string> words{
        testing::KeeperHost(), "--head", temp / "dir", "sh", "-c", script};
    std::vector<char*> args;
    for (std::string& word : words) args.push_back(word.data());
    args.push_back(nullptr);
    std::vector<std::string> variables = OwnEnvironment();
    variables.push_back("KILN_TEST=" + temp.path());
    std::vector<char*> env;
    for (std::string& variable : variables) env.push_back(variable.data());
    env.push_back(nullptr);
    REQUIRE(posix_spawn(&pid, args[0], nullptr, nullptr, args.data(), env.data()) == 0);
  }
  ~KillableHead() {
    kill(pid, SIGKILL);
    WaitUntil([&] { return Count() == 0; }, kDeadline);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
  size_t Count() const { return KeeperFixture::CountProcesses("KILN_TEST=" + temp.path()); }

  TempDir temp;
  pid_t pid = 0;
};

TEST_CASE("kill -9 of a head ends all its processes within a second and removes its files") {
  KillableHead head(
      "setsid sh -c 'setsid sleep 1000 & sleep 1000; :' & trap '' TERM HUP; sleep 1000 & "
      "wait; sleep 1000");
  // head, keeper, sh, its sleep, setsid's sh and its two sleeps
  REQUIRE(WaitUntil([&] { return head.Count() == 7; }, kDeadline));
  const SessionPaths paths(head.temp / "dir");
  REQUIRE(std::filesystem::exists(paths.info));
  const Time before = Clock::now();
  REQUIRE(kill(head.pid, SIGKILL) == 0);
  CHECK(WaitUntil([&] { return head.Count() == 0; }, kDeadline));
  CHECK(Clock::now() - before < seconds(1));
  CHECK_FALSE(std::filesystem::exists(paths.info));
  CHECK_FALSE(IsLocked(paths.lock));
}

TEST_CASE("a head that starts after a kill -9 waits for the old one's processes") {
  KillableHead head("exec sleep 1000");
  const SessionPaths paths(head.temp / "dir");
  REQUIRE(WaitUntil([&] { return head.Count() == 3; }, kDeadline));
  CHECK(SessionLock::Acquire(paths.dir).status().code() == Code::kAlreadyExists);
  REQUIRE(kill(head.pid, SIGKILL) == 0);
  REQUIRE(waitpid(head.pid, nullptr, 0) == head.pid);
  Result<SessionLock> lock = SessionLock::Acquire(paths.dir);
  REQUIRE(lock.ok());
  HeadInfo info;
  info.pid = getpid();
  REQUIRE(lock->Publish(info).ok());
  // Whatever the old keeper still does, the new head's files stay.
  CHECK(WaitUntil([&] { return head.Count() == 0; }, kDeadline));
  CHECK(FindHead(paths.dir).ok());
}

}  // namespace
}  // namespace kiln::process
