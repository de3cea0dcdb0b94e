#include "daemon/process/worker_launcher.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/unit/process_fixture.h"
#include "tests/unit/temp_dir.h"

namespace kiln::process {
namespace {

using testing::KeeperFixture;

class Workers : public KeeperFixture {
 public:
  explicit Workers(size_t logs_kept = 100) {
    WorkerLauncherOptions options;
    options.log_dir = temp.path();
    options.address = "unix:/the/head.sock";
    options.session_dir = "/the";
    options.library_host = Shell("echo host; exit 7");
    options.logs_kept = logs_kept;
    WorkerLauncher::Callbacks callbacks;
    callbacks.started = [this](WorkerId worker, pid_t pid) { pids[worker] = pid; };
    callbacks.lost = [this](WorkerId worker, const std::string& reason) {
      CHECK_FALSE(lost.contains(worker));
      lost[worker] = reason;
    };
    callbacks.lines = [this](WorkerId worker, std::vector<std::string> more) {
      CHECK_FALSE(lost.contains(worker));
      lines[worker].insert(lines[worker].end(), more.begin(), more.end());
    };
    launcher.emplace(&loop, keeper.get(), options, callbacks);
    on_started = [this](Keeper::LaunchId id, pid_t pid, int output_fd) {
      CHECK(launcher->OnStarted(id, pid, output_fd));
    };
    on_exited = [this](Keeper::LaunchId id, const ExitReport& report) {
      CHECK(launcher->OnExited(id, report));
    };
  }

  Program Shell(const std::string& script) const {
    Program program;
    program.executable = "/bin/sh";
    program.args = {"sh", "-c", script};
    program.env = Environment();
    program.cwd = "/usr";
    return program;
  }
  std::string RunToEnd(WorkerId worker, core::ProgramId program) {
    launcher->Start(worker, program);
    return WaitForEnd(worker);
  }
  std::string WaitForEnd(WorkerId worker) {
    REQUIRE(RunUntil([&] { return lost.contains(worker); }));
    return lost[worker];
  }

  std::map<WorkerId, pid_t> pids;
  std::map<WorkerId, std::string> lost;
  std::map<WorkerId, std::vector<std::string>> lines;
  std::optional<WorkerLauncher> launcher;
};

TEST_CASE("a worker is started with what it needs to find the head") {
  Workers workers;
  Program program = workers.Shell("echo \"$KILN_WORKER $KILN_ADDRESS $KILN_SESSION_DIR $(pwd)\"");
  program.env.push_back("KILN_ADDRESS=the driver's own");
  const core::ProgramId id = workers.launcher->Intern(program);
  workers.RunToEnd(42, id);
  CHECK(workers.pids[42] > 0);
  CHECK(workers.lines[42] == std::vector<std::string>{"42 unix:/the/head.sock /the /usr"});
  CHECK(testing::ReadFile(workers.temp / "worker-42.log") == "42 unix:/the/head.sock /the /usr\n");
}

TEST_CASE("a lost worker's reason has its end and its last output") {
  Workers workers;
  CHECK(workers.RunToEnd(1, core::kLibraryHost) == "exit code 7; last output:\n  host");
  const auto silent = workers.launcher->Intern(workers.Shell("exit 0"));
  CHECK(workers.RunToEnd(2, silent) == "exit code 0");
  const auto crashing = workers.launcher->Intern(
      workers.Shell("i=0; while [ $i -lt 10000 ]; do i=$((i+1)); echo $i; done; "
                    "printf 'no end' >&2; kill -ABRT $$"));
  std::string expected = "killed by signal 6 (SIGABRT); last output:";
  for (int i = 9'982; i <= 10'000; ++i) expected += "\n  " + std::to_string(i);
  CHECK(workers.RunToEnd(3, crashing) == expected + "\n  no end");
  CHECK(workers.lines[3].size() == 10'001);  // all of it before the loss was told
  Program missing = workers.Shell("");
  missing.executable = "/no/such/worker";
  CHECK(workers.RunToEnd(4, workers.launcher->Intern(missing)) ==
        "could not start /no/such/worker: No such file or directory");
  CHECK(workers.RunToEnd(5, 999).find("program is gone") != std::string::npos);
  CHECK(workers.launcher->alive() == 0);
}

TEST_CASE("a killed worker is lost with all that its tasks started") {
  Workers workers;
  const auto program =
      workers.launcher->Intern(workers.Shell("setsid sleep 1000 & echo up; wait; sleep 1000"));
  workers.launcher->Start(1, program);
  REQUIRE(workers.RunUntil([&] { return !workers.lines[1].empty(); }));
  CHECK(workers.launcher->FindPid(1) == workers.pids[1]);
  workers.launcher->Kill(1);
  CHECK(workers.WaitForEnd(1) == "killed by signal 9 (SIGKILL); last output:\n  up");
  CHECK(workers.CountMarked() == 0);
  CHECK(workers.launcher->FindPid(1) == 0);
  workers.launcher->Kill(1);  // ended: ignored

  workers.launcher->Start(2, program);
  workers.launcher->Kill(2);  // before it runs
  CHECK(workers.WaitForEnd(2).starts_with("killed by signal 9"));
}

TEST_CASE("equal programs are one, forgotten when nobody needs it any more") {
  Workers workers;
  WorkerLauncher& launcher = *workers.launcher;
  const auto first = launcher.Intern(workers.Shell("sleep 1000"));
  CHECK(launcher.Intern(workers.Shell("sleep 1000")) == first);
  Program other = workers.Shell("sleep 1000");
  other.env.push_back("A=b");
  const auto second = launcher.Intern(other);
  CHECK(second != first);
  CHECK(first != core::kLibraryHost);
  launcher.Release(first);
  CHECK(launcher.FindProgram(first) != nullptr);
  launcher.Start(1, first);
  launcher.Release(first);
  CHECK(launcher.FindProgram(first) != nullptr);  // a worker lives
  launcher.Kill(1);
  workers.WaitForEnd(1);
  CHECK(launcher.FindProgram(first) == nullptr);
  CHECK(launcher.FindProgram(second)->env == other.env);
  const auto again = launcher.Intern(workers.Shell("sleep 1000"));
  CHECK(again != first);
  CHECK(again != second);
  launcher.Release(core::kLibraryHost);
  CHECK(launcher.FindProgram(core::kLibraryHost) != nullptr);
}

TEST_CASE("logs of ended workers are kept up to a bound, oldest removed first") {
  Workers workers(2);
  for (WorkerId worker = 1; worker <= 4; ++worker) workers.RunToEnd(worker, core::kLibraryHost);
  for (WorkerId worker = 1; worker <= 4; ++worker) {
    const std::string log = workers.temp / ("worker-" + std::to_string(worker) + ".log");
    CHECK(std::filesystem::exists(log) == (worker > 2));
  }
}

TEST_CASE("the library host is beside the head unless the environment names another") {
  unsetenv("KILN_WORKER_BINARY");
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  CHECK(LibraryHost().executable == here / "kiln-worker");
  setenv("KILN_WORKER_BINARY", "/some/worker", 1);
  CHECK(LibraryHost().executable == "/some/worker");
  CHECK(LibraryHost().args == std::vector<std::string>{"/some/worker"});
  unsetenv("KILN_WORKER_BINARY");
}

}  // namespace
}  // namespace kiln::process
