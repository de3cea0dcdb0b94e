// SessionLock of daemonize.h.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "common/clock.h"
#include "daemon/process/daemonize.h"
#include "daemon/process/file_lock.h"
#include "daemon/process/process_tree.h"
#include "daemon/process/unique_fd.h"

namespace kiln::process {
namespace {

// For the keeper of a head that was just killed: it holds the lock until all processes are gone.
constexpr Duration kKeeperTimeout = seconds(3);
constexpr size_t kSocketPathBytes = sizeof(sockaddr_un::sun_path) - 1;

Status DiskError(const std::string& what) {
  const bool denied = errno == EACCES || errno == EPERM || errno == EROFS;
  return Status(denied ? Code::kPermissionDenied : Code::kUnavailable,
                what + ": " + std::strerror(errno) +
                    (denied ? "; choose a directory of yours with --session-dir" : ""));
}

Status Refused(const std::string& message) {
  return Status(Code::kPermissionDenied, message);
}

Status CheckLength(const SessionPaths& paths) {
  const size_t longest = std::max(paths.store_socket.size(), paths.rings_socket.size());
  if (longest <= kSocketPathBytes) return Status();
  const size_t room = kSocketPathBytes - (longest - paths.dir.size());
  return Status(Code::kInvalidArgument, "the session directory " + paths.dir + " has a path of " +
                                            std::to_string(paths.dir.size()) +
                                            " bytes; its sockets allow " + std::to_string(room) +
                                            ". Choose a shorter one with --session-dir");
}

// Makes what is missing, and opens `dir` if it is ours alone.
Result<UniqueFd> OpenDirectory(const std::string& dir) {
  std::error_code ignored;  // mkdir says it better
  std::filesystem::create_directories(std::filesystem::path(dir).parent_path(), ignored);
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return DiskError("cannot make the session directory " + dir);
  }
  struct stat info;
  if (lstat(dir.c_str(), &info) == 0 && S_ISLNK(info.st_mode)) {
    return Refused("the session directory " + dir +
                   " is a symbolic link; remove it, or name the directory itself");
  }
  UniqueFd fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return DiskError("cannot open the session directory " + dir);
  if (fstat(fd.get(), &info) != 0) return DiskError("cannot look at " + dir);
  if (info.st_uid != geteuid()) {
    return Refused("the session directory " + dir + " belongs to user " +
                   std::to_string(info.st_uid) + ", not to you (user " + std::to_string(geteuid()) +
                   "); choose another with --session-dir");
  }
  if ((info.st_mode & 077) != 0) {
    return Refused("the session directory " + dir +
                   " is open to other users; close it with \"chmod 700 " + dir +
                   "\", or choose another with --session-dir");
  }
  return fd;
}

// Returns: the pid noted in the lock file, 0 if none.
pid_t NotedPid(int fd) {
  char text[16] = {};
  if (pread(fd, text, sizeof text - 1, 0) <= 0) return 0;
  return static_cast<pid_t>(std::strtol(text, nullptr, 10));
}

Status AlreadyRuns(const SessionPaths& paths, pid_t pid) {
  const Result<HeadInfo> head = FindHead(paths.dir);
  std::string text = "a head";
  if (pid != 0) text += " (pid " + std::to_string(pid) + ")";
  text += " already runs in " + paths.dir;
  if (head.ok()) text += " at " + head.value().address;
  return Status(Code::kAlreadyExists, text + "; stop it with \"kiln stop --session-dir " +
                                          paths.dir + "\", or start another with --session-dir");
}

Result<UniqueFd> TakeLock(int dir_fd, const SessionPaths& paths) {
  const Time end = Clock::now() + kKeeperTimeout;
  while (true) {
    UniqueFd fd(openat(dir_fd, "head.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd.valid()) return DiskError("cannot write in the session directory " + paths.dir);
    if (TryLock(fd.get())) {
      if (IsSameFile(fd.get(), paths.lock)) return fd;
      continue;  // a head that ended has just removed it
    }
    const pid_t pid = NotedPid(fd.get());
    const bool head_is_dead = pid != 0 && !IsAlive(pid);
    if (!head_is_dead || Clock::now() >= end) return AlreadyRuns(paths, pid);
    std::this_thread::sleep_for(milliseconds(5));
  }
}

void RemoveFiles(const SessionPaths& paths) {
  for (const std::string* path :
       {&paths.info, &paths.head_socket, &paths.store_socket, &paths.rings_socket, &paths.token}) {
    unlink(path->c_str());
  }
}

}  // namespace

Result<SessionLock> SessionLock::Acquire(const std::string& dir) {
  SessionPaths paths(dir);
  if (Status status = CheckLength(paths); !status.ok()) return status;
  Result<UniqueFd> dir_fd = OpenDirectory(paths.dir);
  if (!dir_fd.ok()) return dir_fd.status();
  if (mkdirat(dir_fd->get(), "logs", 0700) != 0 && errno != EEXIST) {
    return DiskError("cannot make the log folder " + paths.logs);
  }
  Result<UniqueFd> lock_fd = TakeLock(dir_fd->get(), paths);
  if (!lock_fd.ok()) return lock_fd.status();
  RemoveFiles(paths);
  SessionLock lock(std::move(paths), lock_fd->Release());
  lock.WritePid();
  return lock;
}

SessionLock::SessionLock(SessionPaths paths, int fd) : paths_(std::move(paths)), fd_(fd) {}

SessionLock::SessionLock(SessionLock&& other) noexcept
    : paths_(other.paths_),
      fd_(std::exchange(other.fd_, -1)),
      owner_(std::exchange(other.owner_, 0)) {}

SessionLock& SessionLock::operator=(SessionLock&& other) noexcept {
  if (this == &other) return *this;
  Release();
  paths_ = other.paths_;
  fd_ = std::exchange(other.fd_, -1);
  owner_ = std::exchange(other.owner_, 0);
  return *this;
}

SessionLock::~SessionLock() {
  Release();
}

void SessionLock::Release() {
  if (fd_ < 0) return;
  if (owner_ == getpid()) {
    RemoveFiles(paths_);
    unlink(paths_.lock.c_str());
  }
  close(std::exchange(fd_, -1));
}

void SessionLock::WritePid() {
  owner_ = getpid();
  const std::string text = std::to_string(owner_) + "\n";
  // A pid that cannot be noted is only missed in messages.
  if (ftruncate(fd_, 0) != 0) return;
  [[maybe_unused]] const ssize_t written = pwrite(fd_, text.data(), text.size(), 0);
}

Status SessionLock::Publish(const HeadInfo& info) {
  const std::string fresh = paths_.info + ".new";
  const std::string text = ToJson(info) + "\n";
  UniqueFd fd(open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid() ||
      write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      rename(fresh.c_str(), paths_.info.c_str()) != 0) {
    const Status status = DiskError("cannot write " + paths_.info);
    unlink(fresh.c_str());
    return status;
  }
  return Status();
}

}  // namespace kiln::process
