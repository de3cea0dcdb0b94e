#include "client/cpp/src/own_head.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "common/head_answer.h"

extern char** environ;

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr int kAnswerFd = 3;  // in the head's process
constexpr int kOwnerFd = 4;
constexpr const char* kDirPrefix = "own-";
constexpr int kEndWaitMs = 5000;

// $KILN_HEAD_BINARY, else where FindBinary finds it.
Result<std::string> FindHeadBinary() {
  if (const char* named = std::getenv("KILN_HEAD_BINARY")) return std::string(named);
  Result<std::string> found = FindBinary("kiln-head");
  if (found.ok()) return found;
  return Status(
      Code::kNotFound,
      "no head is running, and kiln-head to start one is neither beside libkiln.so nor in "
      "PATH; start one with `kiln start --head`, or name the program with "
      "KILN_HEAD_BINARY");
}

// A directory for this process's head below the user's own; those of processes that have ended
// without tidying up are removed on the way.
Result<std::string> MakeSessionDir() {
  static std::atomic<int> count{0};
  fs::path base = DefaultSessionDir();
  if (mkdir(base.c_str(), 0700) != 0 && errno != EEXIST) {
    return Status(Code::kPermissionDenied, "cannot make the directory " + base.string() + ": " +
                                               strerror(errno) + "; set KILN_SESSION_DIR");
  }
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(base, error)) {
    std::string name = entry.path().filename();
    if (!name.starts_with(kDirPrefix)) continue;
    pid_t pid = std::atoi(name.c_str() + strlen(kDirPrefix));
    if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH && !FindHead(entry.path()).ok()) {
      fs::remove_all(entry.path(), error);
    }
  }
  return (base / (kDirPrefix + std::to_string(getpid()) + "-" + std::to_string(++count))).string();
}

}  // namespace

Result<std::string> FindBinary(const std::string& name) {
  Dl_info library;
  if (dladdr(reinterpret_cast<void*>(&FindBinary), &library) && library.dli_fname) {
    std::error_code error;
    fs::path root = fs::canonical(library.dli_fname, error).parent_path().parent_path();
    for (const fs::path& candidate : {root / "bin" / name, root.parent_path() / "bin" / name}) {
      if (access(candidate.c_str(), X_OK) == 0) return candidate.string();
    }
  }
  std::string path = std::getenv("PATH") ? std::getenv("PATH") : "";
  for (size_t begin = 0; begin <= path.size();) {
    size_t end = std::min(path.find(':', begin), path.size());
    std::string candidate = path.substr(begin, end - begin) + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return Status(Code::kNotFound, name + " is neither beside libkiln.so nor in PATH");
}

Result<std::shared_ptr<OwnHead>> OwnHead::Start(const ConnectOptions& options) {
  Result<std::string> binary = FindHeadBinary();
  if (!binary.ok()) return binary.status();
  Result<std::string> dir = MakeSessionDir();
  if (!dir.ok()) return dir.status();

  std::vector<std::string> args = {
      "kiln-head",  "--session-dir",         *dir, "--answer-fd", std::to_string(kAnswerFd),
      "--owner-fd", std::to_string(kOwnerFd)};
  if (options.num_cpus > 0) {
    args.insert(args.end(), {"--num-cpus", std::to_string(options.num_cpus)});
  }
  if (options.object_store_memory > 0) {
    args.insert(args.end(), {"--object-store-memory", std::to_string(options.object_store_memory)});
  }
  if (!options.resources.empty()) {
    args.insert(args.end(), {"--resources", nlohmann::json(options.resources).dump()});
  }
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);

  int answer[2] = {-1, -1}, lifeline[2] = {-1, -1};
  if (pipe2(answer, O_CLOEXEC) != 0 || pipe2(lifeline, O_CLOEXEC) != 0) {
    for (int fd : answer) close(fd);
    return Status(Code::kUnavailable, std::string("cannot make a pipe: ") + strerror(errno));
  }
  // The descriptors go to 3 and 4 by way of high numbers, which neither can be.
  int answer_write = fcntl(answer[1], F_DUPFD_CLOEXEC, 10);
  int lifeline_read = fcntl(lifeline[0], F_DUPFD_CLOEXEC, 10);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, answer_write, kAnswerFd);
  posix_spawn_file_actions_adddup2(&actions, lifeline_read, kOwnerFd);
  pid_t child = 0;
  int failed = posix_spawn(&child, binary->c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  for (int fd : {answer[1], answer_write, lifeline[0], lifeline_read}) close(fd);
  Result<HeadInfo> info =
      failed == 0 ? ReadAnswer(answer[0])
                  : Status(Code::kUnavailable, "cannot start " + *binary + ": " + strerror(failed));
  close(answer[0]);
  if (failed == 0) waitpid(child, nullptr, 0);  // the daemon is no child of ours
  if (!info.ok()) {
    close(lifeline[1]);
    return info.status();
  }
  int process = static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(info->pid), 0));
  return std::shared_ptr<OwnHead>(new OwnHead(std::move(*info), lifeline[1], process));
}

OwnHead::OwnHead(HeadInfo info, int lifeline_fd, int process_fd)
    : info_(std::move(info)), lifeline_fd_(lifeline_fd), process_fd_(process_fd) {}

OwnHead::~OwnHead() {
  close(lifeline_fd_);
  if (owner_ != getpid()) {  // a forked child has no part in it
    if (process_fd_ >= 0) close(process_fd_);
    return;
  }
  if (process_fd_ >= 0) {
    pollfd ended{process_fd_, POLLIN, 0};
    (void)poll(&ended, 1, kEndWaitMs);
    close(process_fd_);
  }
  std::error_code error;
  fs::remove_all(info_.session_dir, error);
}

}  // namespace kiln
