#include "daemon/process/worker_launcher.h"

#include <signal.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
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

  // A program whose workers are forks of tests/unit/fork_host.cc.
  Program Forks(const std::string& setup, std::vector<std::string> args = {}) const {
    Program program;
    program.executable = testing::ForkHost();
    program.args = std::move(args);
    program.args.insert(program.args.begin(), program.executable);
    program.env = Environment();
    program.cwd = "/usr";
    program.fork_server = true;
    program.setup = setup;
    return program;
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

  // The fork servers that run: of all that shows the environment of one, the leaders of a session
  // that are no worker.
  std::vector<pid_t> Servers() const {
    std::vector<pid_t> servers;
    for (const ProcessEntry& entry : ListProcesses()) {
      const bool leads = entry.session == entry.pid && !entry.zombie;
      const bool works = std::any_of(pids.begin(), pids.end(),
                                     [&](const auto& known) { return known.second == entry.pid; });
      if (!leads || works || WasStartedWith(entry.pid, Mark()) != true) continue;
      if (WasStartedWith(entry.pid, "KILN_FORK_SERVER=3") == true) servers.push_back(entry.pid);
    }
    return servers;
  }
  size_t CountServers() const { return Servers().size(); }

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

TEST_CASE("workers of a fork server's program are its forks, whatever their directory and setup") {
  Workers workers;
  const std::string script = "echo \"$KILN_WORKER $KILN_ADDRESS $KILN_SESSION_DIR $(pwd)$OWN\"";
  Program program = workers.Forks(script);
  const auto first = workers.launcher->Intern(program);
  program.cwd = "/";
  const auto second = workers.launcher->Intern(program);
  program.setup += "; exit 3";
  const auto third = workers.launcher->Intern(program);
  CHECK(std::set{first, second, third}.size() == 3);
  CHECK(workers.RunToEnd(1, first) ==
        "exit code 0; last output:\n  1 unix:/the/head.sock /the /usr");
  CHECK(workers.RunToEnd(2, second) == "exit code 0; last output:\n  2 unix:/the/head.sock /the /");
  CHECK(workers.RunToEnd(3, third).starts_with("exit code 3; "));
  CHECK(workers.pids[1] > 0);
  CHECK(workers.CountServers() == 1);
  CHECK(workers.launcher->alive() == 0);  // a server is no worker

  program.env.push_back("OWN= yes");
  CHECK(workers.RunToEnd(4, workers.launcher->Intern(program)).ends_with(" / yes"));
  CHECK(workers.CountServers() == 2);
}

TEST_CASE("a fork server can be warmed before a worker is wanted") {
  Workers workers;
  const auto program = workers.launcher->Intern(workers.Forks("exit 0"));
  workers.launcher->Warm(program);
  REQUIRE(workers.RunUntil([&] { return workers.CountServers() == 1; }));
  workers.launcher->Warm(program);
  CHECK(workers.RunToEnd(1, program) == "exit code 0");
  CHECK(workers.CountServers() == 1);
  workers.launcher->Warm(workers.launcher->Intern(workers.Shell("exit 0")));  // has none
  workers.launcher->Warm(999);
  CHECK(workers.RunToEnd(2, program) == "exit code 0");
  CHECK(workers.CountServers() == 1);
}

TEST_CASE("a worker lost for its fork server's sake has the server's end and output as reason") {
  Workers workers;
  const auto program = workers.launcher->Intern(workers.Forks("exit 0", {"fails"}));
  for (WorkerId worker = 1; worker <= 4; worker += 2) {  // a dead server is started anew
    workers.launcher->Start(worker, program);
    CHECK(workers.RunToEnd(worker + 1, program) ==
          "its fork server ended: exit code 1; last output:\n"
          "  ModuleNotFoundError: No module named 'numpie'");
    CHECK(workers.WaitForEnd(worker) == workers.lost[worker + 1]);
  }
  const std::string log = testing::ReadFile(workers.temp / "fork-server-1.log");
  CHECK(log == "ModuleNotFoundError: No module named 'numpie'\n");
  Program missing = workers.Forks("exit 0");
  missing.executable = "/no/such/python";
  CHECK(workers.RunToEnd(9, workers.launcher->Intern(missing)) ==
        "its fork server ended: could not start /no/such/python: No such file or directory");
  CHECK(workers.CountMarked() == 0);
}

TEST_CASE("a killed fork server is replaced at the next need, and its workers go on") {
  Workers workers;
  const auto program =
      workers.launcher->Intern(workers.Forks("setsid sleep 1000 & echo up; wait; sleep 1000"));
  workers.launcher->Start(1, program);
  REQUIRE(workers.RunUntil([&] { return !workers.lines[1].empty(); }));
  const std::vector<pid_t> killed = workers.Servers();
  REQUIRE(killed.size() == 1);
  REQUIRE(kill(killed[0], SIGKILL) == 0);
  REQUIRE(workers.RunUntil([&] {
    workers.launcher->Warm(program);  // does nothing until the launcher has heard of the end
    const std::vector<pid_t> servers = workers.Servers();
    return servers.size() == 1 && servers != killed;
  }));
  workers.launcher->Start(2, program);
  REQUIRE(workers.RunUntil([&] { return !workers.lines[2].empty(); }));
  CHECK(workers.lost.empty());
  CHECK(workers.CountServers() == 1);
  workers.launcher->Kill(1);
  workers.launcher->Kill(2);
  CHECK(workers.WaitForEnd(1) == "killed by signal 9 (SIGKILL); last output:\n  up");
  CHECK(workers.WaitForEnd(2) == workers.lost[1]);
  CHECK(workers.CountMarked() == 1);  // the server
  workers.launcher->Start(3, program);
  workers.launcher->Kill(3);  // before it runs
  CHECK(workers.WaitForEnd(3).starts_with("killed by signal 9"));
}

TEST_CASE("idle fork servers are few, those not used for the longest end") {
  Workers workers;
  const auto variant = [&](int number) {
    Program program = workers.Forks("exec sleep 1000");
    program.env.push_back("NUMBER=" + std::to_string(number));
    return workers.launcher->Intern(program);
  };
  workers.launcher->Start(1, variant(1));  // its server is in use
  for (int number = 2; number <= 7; ++number) workers.launcher->Warm(variant(number));
  const auto alive = [&](int number) {
    const std::string mark = "NUMBER=" + std::to_string(number);
    const std::vector<pid_t> servers = workers.Servers();
    return std::any_of(servers.begin(), servers.end(),
                       [&](pid_t server) { return WasStartedWith(server, mark) == true; });
  };
  REQUIRE(workers.RunUntil([&] {
    return !alive(2) && !alive(3) && alive(7) && workers.CountServers() == 5 && workers.pids[1] > 0;
  }));
  workers.launcher->Kill(1);
  workers.WaitForEnd(1);
  REQUIRE(workers.RunUntil([&] { return workers.CountServers() == 4; }));
  CHECK_FALSE(alive(1));
  for (int number = 4; number <= 7; ++number) CHECK(alive(number));
}

TEST_CASE("the Python host of a directory is one program, with kiln on its path") {
  Workers workers;
  unsetenv("KILN_PYTHON");
  setenv("PYTHONPATH", "/own/modules", 1);
  const auto id = workers.launcher->PythonHost("/some/\"root\"");
  CHECK(workers.launcher->PythonHost("/some/\"root\"") == id);
  CHECK(workers.launcher->PythonHost("/other") != id);
  const Program host = *workers.launcher->FindProgram(id);
  CHECK(host.executable.starts_with('/'));
  CHECK(host.args == std::vector<std::string>{host.executable, "-m", "kiln.worker"});
  CHECK(host.fork_server);
  CHECK(host.cwd == "/");
  CHECK(host.setup == "{\"root\":\"/some/\\\"root\\\"\"}");
  const auto path = std::find_if(host.env.begin(), host.env.end(), [](const std::string& item) {
    return item.starts_with("PYTHONPATH=");
  });
  REQUIRE(path != host.env.end());
  CHECK(path->ends_with(":/own/modules"));
  unsetenv("PYTHONPATH");
  setenv("KILN_PYTHON", "/some/python", 1);
  CHECK(PythonHost("/").executable == "/some/python");
  unsetenv("KILN_PYTHON");
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
