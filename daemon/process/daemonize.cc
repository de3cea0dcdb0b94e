#include "daemon/process/daemonize.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "common/head_answer.h"
#include "daemon/process/keeper.h"
#include "daemon/process/output_lines.h"

namespace kiln::process {
namespace {

// Lines of the daemon's log shown when it died without an answer, from its last bytes.
constexpr size_t kLogLinesShown = 10;
constexpr std::streamoff kLogBytesRead = 16 * 1024;

// A reader that is gone is no error.
void WriteAll(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = write(fd, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    done += static_cast<size_t>(count);
  }
}

// Returns: the first line; nothing if the pipe ended before its end.
std::optional<std::string> ReadLine(int fd) {
  std::string text;
  char buffer[4096];
  while (text.find('\n') == text.npos) {
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    text.append(buffer, static_cast<size_t>(count));
  }
  return text.substr(0, text.find('\n'));
}

std::string LastLinesOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  in.seekg(0, std::ios::end);
  const std::streamoff size = in.tellg();
  in.seekg(std::max<std::streamoff>(0, size - kLogBytesRead));
  OutputLines lines;
  lines.Feed(std::string(std::istreambuf_iterator<char>(in), {}));
  std::vector<std::string> last = lines.Last();
  if (last.size() > kLogLinesShown) last.erase(last.begin(), last.end() - kLogLinesShown);
  std::string text;
  for (const std::string& line : last) text += "\n  " + line;
  return text;
}

Status DiedWithoutAnswer(pid_t child, const std::string& log_path) {
  int wait_status = 0;
  waitpid(child, &wait_status, 0);
  ExitReport report;
  report.exit_code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
  report.signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  const std::string last = LastLinesOf(log_path);
  return Status(Code::kInternal, "the head ended before it could serve: " + Describe(report) +
                                     "; its log is " + log_path +
                                     (last.empty() ? "" : ", which ends with:" + last));
}

// The parent: passes the child's answer on.
[[noreturn]] void AnswerAndExit(int pipe_fd, pid_t child, int answer_fd,
                                const std::string& log_path) {
  std::optional<std::string> answer = ReadLine(pipe_fd);
  if (answer) {
    WriteAll(answer_fd, *answer + "\n");
  } else {
    answer = FormatAnswer(DiedWithoutAnswer(child, log_path));
    WriteAll(answer_fd, *answer);
  }
  _exit(answer->starts_with("{\"ready\"") ? 0 : 1);
}

[[noreturn]] void FailAndExit(int answer_fd, const std::string& what) {
  const std::string reason = std::strerror(errno);
  WriteAll(answer_fd, FormatAnswer(Status(Code::kUnavailable, what + ": " + reason)));
  _exit(1);
}

// What this program inherited beside the standard streams, perhaps a pipe that somebody waits for
// the end of. All that it opened itself is close-on-exec.
void CloseInherited() {
  std::error_code error;
  std::vector<int> inherited;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const int fd = std::atoi(entry.path().filename().c_str());
    const int flags = fcntl(fd, F_GETFD);
    if (fd > 2 && flags >= 0 && (flags & FD_CLOEXEC) == 0) inherited.push_back(fd);
  }
  for (const int fd : inherited) close(fd);
}

}  // namespace

void ReadyPipe::Ready(const HeadInfo& info) {
  Send(FormatAnswer(info));
}

void ReadyPipe::Failed(const Status& status) {
  Send(FormatAnswer(status));
}

void ReadyPipe::Send(const std::string& message) {
  if (fd_ < 0) return;
  signal(SIGPIPE, SIG_IGN);  // who waited may be gone; a head has no use for it later either
  WriteAll(fd_, message);
  close(std::exchange(fd_, -1));
}

ReadyPipe Daemonize(int answer_fd, const std::string& log_path) {
  signal(SIGPIPE, SIG_IGN);
  const int log_fd = open(log_path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (log_fd < 0) FailAndExit(answer_fd, "cannot write the log file " + log_path);
  const int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null_fd < 0) FailAndExit(answer_fd, "cannot open /dev/null");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) FailAndExit(answer_fd, "cannot make a pipe");
  const pid_t child = fork();
  if (child < 0) FailAndExit(answer_fd, "cannot start a process");
  if (child > 0) {
    close(ends[1]);
    AnswerAndExit(ends[0], child, answer_fd, log_path);
  }
  setsid();
  umask(077);
  // Our end of the pipe first out of the way of the standard streams, which may have been closed.
  const int pipe_fd = fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
  const int log_copy = fcntl(log_fd, F_DUPFD_CLOEXEC, 3);
  if (pipe_fd < 0 || log_copy < 0 || dup2(null_fd, 0) < 0 || dup2(log_copy, 1) < 0 ||
      dup2(log_copy, 2) < 0) {
    _exit(1);  // the parent tells
  }
  for (const int fd : {ends[0], ends[1], log_fd, log_copy, null_fd, answer_fd}) {
    if (fd > 2) close(fd);
  }
  CloseInherited();
  return ReadyPipe(pipe_fd);
}

}  // namespace kiln::process
