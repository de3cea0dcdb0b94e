// Becoming a daemon without losing a word: lock first, fork then, answer through a pipe.
//
//   SessionLock lock = Acquire(dir)        still the caller's process: failures are its to print
//   ReadyPipe pipe = Daemonize()           the caller's process stays in WaitUntilReady
//   lock.WritePid()
//   ... start everything ...
//   lock.Publish(info)                     now clients find this head
//   pipe.Ready(info) or pipe.Failed(status)
//
// Thread: before any thread is started.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/session_dir.h"
#include "common/status.h"

namespace kiln::process {

// The right to be the head of a session directory. Released by the end of the process.
class SessionLock {
 public:
  // Makes the directory (0700) and its logs folder if they are not there, takes the lock, removes
  // what a killed head left (sockets, info, token).
  // Blocks: while the keeper of a head that was just killed cleans up, at most 3 s.
  // Errors: PermissionDenied (not ours, not writable, or open to others: names the owner and the
  // fix),
  //         AlreadyExists (a head runs there: names its pid and address, and `kiln stop`),
  //         InvalidArgument (path too long for a unix socket: names the length and --session-dir),
  //         Unavailable (disk).
  static Result<SessionLock> Acquire(const std::string& dir);
  SessionLock(SessionLock&& other) noexcept;
  SessionLock& operator=(SessionLock&& other) noexcept;
  // Removes the files of SessionPaths except logs, then lets the lock go, if this process holds it.
  ~SessionLock();

  // Notes our pid in the lock file; after the fork. From then on the lock is this process's.
  void WritePid();
  // Writes the info file, whole or not at all: from now on FindHead finds this head.
  // Errors: Unavailable (disk).
  Status Publish(const HeadInfo& info);
  const SessionPaths& paths() const { return paths_; }

 private:
  SessionLock(SessionPaths paths, int fd);
  void Release();
  SessionPaths paths_;
  int fd_ = -1;
  pid_t owner_ = 0;  // the process that cleans up: not its forks
};

// One message from the daemon to whoever waits for it. Writing to one who waits no more is no
// error.
class ReadyPipe {
 public:
  // `fd`: where to write the answer, closed after it; -1: nobody waits.
  explicit ReadyPipe(int fd) : fd_(fd) {}
  void Ready(const HeadInfo& info);
  void Failed(const Status& status);

 private:
  void Send(const std::string& message);
  int fd_;
};

// Forks into the background: new session, standard streams to /dev/null and `log_path`, umask 077.
// In the child: returns the pipe to answer through. In the parent: never returns; writes the answer
// to `answer_fd` (a line of common/head_answer.h), exits 0 or 1. A child that dies without an
// answer is an error that names its end, the log, and the last lines it wrote there. The working
// directory stays; inherited descriptors that are not close-on-exec are closed.
ReadyPipe Daemonize(int answer_fd, const std::string& log_path);

}  // namespace kiln::process
