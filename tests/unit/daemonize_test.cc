#include "daemon/process/daemonize.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>

#include "common/head_answer.h"
#include "daemon/process/process_tree.h"
#include "tests/unit/process_fixture.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/wait_until.h"

namespace kiln::process {
namespace {

using testing::kDeadline;
using testing::TempDir;
using testing::WaitUntil;
namespace fs = std::filesystem;

mode_t ModeOf(const std::string& path) {
  struct stat info;
  REQUIRE(lstat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}

TEST_CASE("a lock makes a private directory, and leaves nothing but the logs") {
  TempDir temp;
  const SessionPaths paths(temp / "a/b");
  {
    Result<SessionLock> lock = SessionLock::Acquire(paths.dir);
    REQUIRE(lock.ok());
    CHECK(ModeOf(paths.dir) == 0700);
    CHECK(ModeOf(paths.logs) == 0700);
    CHECK(ModeOf(paths.lock) == 0600);
    CHECK(IsLocked(paths.lock));
    CHECK(testing::ReadFile(paths.lock) == std::to_string(getpid()) + "\n");
    HeadInfo info;
    info.pid = 42;
    REQUIRE(lock->Publish(info).ok());
    CHECK(ModeOf(paths.info) == 0600);
    CHECK(FindHead(paths.dir).value().pid == 42);
    SessionLock moved = std::move(lock).value();
    CHECK(IsLocked(paths.lock));
  }
  CHECK_FALSE(IsLocked(paths.lock));
  for (const auto& entry : fs::directory_iterator(paths.dir)) {
    CHECK(entry.path().string() == paths.logs);
  }
}

TEST_CASE("a second head in a directory is refused with the first one's pid and address") {
  TempDir temp;
  Result<SessionLock> first = SessionLock::Acquire(temp.path());
  REQUIRE(first.ok());
  HeadInfo info;
  info.address = "unix:/somewhere";
  REQUIRE(first->Publish(info).ok());
  const Result<SessionLock> second = SessionLock::Acquire(temp.path());
  REQUIRE_FALSE(second.ok());
  CHECK(second.status().code() == Code::kAlreadyExists);
  for (const std::string& part :
       {std::to_string(getpid()), info.address, std::string("kiln stop")}) {
    INFO(part);
    CHECK(second.status().message().find(part) != std::string::npos);
  }
  CHECK(FindHead(temp.path()).ok());  // and it took nothing away
}

TEST_CASE("what a killed head left is cleaned away") {
  TempDir temp;
  const SessionPaths paths(temp.path());
  for (const std::string& path : {paths.lock, paths.info, paths.head_socket, paths.store_socket,
                                  paths.rings_socket, paths.token}) {
    testing::WriteFile(path, "99999999\n");
  }
  fs::create_directory(paths.logs);
  testing::WriteFile(paths.logs + "/head.log", "kept");
  REQUIRE(SessionLock::Acquire(temp.path()).ok());
  for (const std::string& path :
       {paths.info, paths.head_socket, paths.store_socket, paths.rings_socket, paths.token}) {
    CHECK_FALSE(fs::exists(path));
  }
  CHECK(testing::ReadFile(paths.logs + "/head.log") == "kept");
}

TEST_CASE("a directory that others could use is refused with the reason and the fix") {
  TempDir temp;
  const auto refusal = [](const std::string& dir) {
    const Result<SessionLock> lock = SessionLock::Acquire(dir);
    REQUIRE_FALSE(lock.ok());
    CHECK(lock.status().code() == Code::kPermissionDenied);
    return lock.status().message();
  };
  SECTION("open to others") {
    REQUIRE(chmod(temp.path().c_str(), 0750) == 0);
    CHECK(refusal(temp.path()).find("chmod 700 " + temp.path()) != std::string::npos);
  }
  SECTION("a symbolic link") {
    fs::create_directory_symlink(temp.path(), temp / "link");
    CHECK(refusal(temp / "link").find("symbolic link") != std::string::npos);
  }
  SECTION("somebody else's") {
    if (geteuid() != 0) return;
    REQUIRE(chown(temp.path().c_str(), 12'345, 12'345) == 0);
    CHECK(refusal(temp.path()).find("belongs to user 12345") != std::string::npos);
  }
  SECTION("not to be made") {
    refusal("/sys/kiln");
  }
  CHECK_FALSE(fs::exists(temp / "head.lock"));
}

TEST_CASE("a path too long for its sockets is refused with the length allowed") {
  TempDir temp;
  const std::string base = temp / "";
  const auto acquire = [&](size_t bytes) {
    return SessionLock::Acquire(base + std::string(bytes - base.size(), 'd')).status();
  };
  const size_t most = 107 - std::string("/store.sock").size();
  CHECK(SessionLock::Acquire(base + std::string(most - base.size(), 'd')).ok());
  const Status status = acquire(most + 1);
  CHECK(status.code() == Code::kInvalidArgument);
  CHECK(status.message().find("allow " + std::to_string(most)) != std::string::npos);
}

// Runs `kiln-keeper-host --daemon DIR HOW` as a command does.
class Starter {
 public:
  explicit Starter(const std::string& how, const std::string& dir = "") {
    prctl(PR_SET_CHILD_SUBREAPER, 1);  // the daemon comes to us
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    std::string words[] = {testing::KeeperHost(), "--daemon", dir.empty() ? temp / "dir" : dir,
                           how};
    char* args[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], 1);
    pid_t pid = 0;
    REQUIRE(posix_spawn(&pid, args[0], &files, nullptr, args, environ) == 0);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    answer.emplace(ReadAnswer(ends[0]));
    close(ends[0]);
    int wait_status = 0;
    REQUIRE(waitpid(pid, &wait_status, 0) == pid);
    exit_code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
  }
  ~Starter() { KillDescendants(); }

  TempDir temp;
  std::optional<Result<HeadInfo>> answer;
  int exit_code = -1;
};

TEST_CASE("a daemon that can serve answers with its info and lives on by itself") {
  const int leaked = open("/dev/null", O_RDONLY);
  Starter start("serve");
  REQUIRE(start.answer->ok());
  CHECK(start.exit_code == 0);
  const pid_t pid = static_cast<pid_t>((*start.answer)->pid);
  const std::string dir = (*start.answer)->session_dir;
  CHECK(IsAlive(pid));
  CHECK(getsid(pid) == pid);
  CHECK(testing::ReadFile(SessionPaths(dir).lock) == std::to_string(pid) + "\n");
  const std::string fds = "/proc/" + std::to_string(pid) + "/fd/";
  CHECK(fs::read_symlink(fds + "0") == "/dev/null");
  CHECK(fs::read_symlink(fds + "1") == dir + "/logs/head.out");
  CHECK(fs::read_symlink(fds + "2") == dir + "/logs/head.out");
  // Beside these the lock, although it inherits `leaked`; the pipe of its answer a moment longer.
  CHECK(WaitUntil(
      [&] { return std::distance(fs::directory_iterator(fds), fs::directory_iterator()) == 4; },
      kDeadline));
  close(leaked);

  Starter second("serve", dir);
  REQUIRE_FALSE(second.answer->ok());
  CHECK(second.answer->status().code() == Code::kAlreadyExists);
  CHECK(second.exit_code == 1);
}

TEST_CASE("a daemon's failure is its starter's answer") {
  Starter start("fail");
  REQUIRE_FALSE(start.answer->ok());
  CHECK(start.answer->status().code() == Code::kResourceExhausted);
  CHECK(start.answer->status().message() == "no memory \"to\" be had");
  CHECK(start.exit_code == 1);
}

TEST_CASE("a daemon that dies without a word is reported with its end, its log and last lines") {
  {
    Starter start("exit");
    REQUIRE_FALSE(start.answer->ok());
    CHECK(start.answer->status().code() == Code::kInternal);
    const std::string message = start.answer->status().message();
    CHECK(message.find("exit code 3") != std::string::npos);
    CHECK(message.find("logs/head.out") != std::string::npos);
    CHECK(message.find("no more ? today") != std::string::npos);
    CHECK(start.exit_code == 1);
  }
  Starter start("kill");
  REQUIRE_FALSE(start.answer->ok());
  CHECK(start.answer->status().message().find("killed by signal 9 (SIGKILL)") != std::string::npos);
}

TEST_CASE("an answer that is none is an error") {
  for (const std::string text : {"", "{\"ready\"", "\n", "[]\n", "{\"error\": 3}\n",
                                 "{\"error\": {\"code\": 0, \"message\": \"x\"}}\n"}) {
    INFO(text);
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    REQUIRE(write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    close(ends[1]);
    const Result<HeadInfo> answer = ReadAnswer(ends[0]);
    close(ends[0]);
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.status().code() == Code::kInternal);
  }
}

TEST_CASE("an answer to somebody who waits no more does no harm") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  close(ends[0]);
  ReadyPipe pipe(ends[1]);
  pipe.Failed(Status(Code::kInternal, "unheard"));
  pipe.Failed(Status(Code::kInternal, "unheard again"));
  ReadyPipe nobody(-1);
  nobody.Ready(HeadInfo());
}

}  // namespace
}  // namespace kiln::process
