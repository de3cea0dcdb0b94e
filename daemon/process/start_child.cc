#include "daemon/process/start_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "common/fork_server.h"

namespace kiln::process {
namespace {

// What a shell says of a command that it could not run; nobody sees it but a debugger.
constexpr int kNotStartedCode = 127;

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

[[noreturn]] void Fail(int status_fd, StartStep step) {
  const StartFailure failure{step, errno};
  [[maybe_unused]] const ssize_t written = write(status_fd, &failure, sizeof failure);
  _exit(kNotStartedCode);
}

[[noreturn]] void RunChild(const LaunchSpec& spec, std::vector<char*>& args,
                           std::vector<char*>& env, pid_t keeper, int output_fd, int status_fd,
                           int server_fd) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != keeper) _exit(kNotStartedCode);  // it died before the line above
  if (spec.own_session) setsid();
  umask(spec.umask);
  const int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(output_fd, 1) < 0 || dup2(output_fd, 2) < 0) {
    Fail(status_fd, StartStep::kPrepare);
  }
  if (!spec.working_dir.empty() && chdir(spec.working_dir.c_str()) != 0) {
    Fail(status_fd, StartStep::kWorkingDir);
  }
  // Ours are close-on-exec already; this is for what the keeper itself may have inherited.
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  // The keeper's own socket has this number, so none that is needed here does.
  if (server_fd >= 0 && dup2(server_fd, kForkServerSocket) < 0) {
    Fail(status_fd, StartStep::kPrepare);
  }
  environ = env.data();  // execvp searches the PATH of this
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvp(spec.executable.c_str(), args.data());
  Fail(status_fd, StartStep::kExecute);
}

}  // namespace

bool MakeOutputPipe(UniqueFd* reader, UniqueFd* writer) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  reader->Reset(ends[0]);
  writer->Reset(ends[1]);
  return fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
}

StartedChild StartChild(const LaunchSpec& spec, int server_fd, StartFailure* failure) {
  StartedChild child;
  UniqueFd output_writer;
  UniqueFd status_writer;
  std::vector<char*> args = Pointers(spec.args);
  std::vector<char*> env = Pointers(spec.env);
  const pid_t keeper = getpid();
  const bool piped = MakeOutputPipe(&child.output, &output_writer) &&
                     MakeOutputPipe(&child.status, &status_writer);
  const pid_t pid = piped ? fork() : -1;
  if (pid < 0) {
    *failure = StartFailure{StartStep::kPrepare, errno};
    return {};
  }
  if (pid == 0) {
    RunChild(spec, args, env, keeper, output_writer.get(), status_writer.get(), server_fd);
  }
  child.pid = pid;
  return child;
}

}  // namespace kiln::process
