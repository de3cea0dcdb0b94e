#include "client/cli/microbenchmark/part_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "client/cli/console.h"

extern char** environ;

namespace kiln::cli::microbenchmark {
namespace {

std::vector<std::string> Merged(const std::vector<std::string>& replacing) {
  std::vector<std::string> result = replacing;
  for (char** variable = environ; *variable; ++variable) {
    std::string text = *variable;
    std::string name = text.substr(0, text.find('=') + 1);
    bool replaced = false;
    for (const std::string& other : replacing) replaced |= other.starts_with(name);
    if (!replaced) result.push_back(std::move(text));
  }
  return result;
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Result<PartProcess> PartProcess::Start(const PartOptions& options) {
  std::vector<std::string> args = {"kiln", "microbenchmark", "--part", options.part};
  if (!options.filter.empty()) args.insert(args.end(), {"--filter", options.filter});
  if (options.quick) args.push_back("--quick");
  std::vector<std::string> environment = Merged(options.environment);
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0) return Status(Code::kUnavailable, std::strerror(errno));
  if (pipe2(out, O_CLOEXEC) != 0) {
    close(in[0]);
    close(in[1]);
    return Status(Code::kUnavailable, std::strerror(errno));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  int flags = POSIX_SPAWN_SETSIGMASK | (options.own_group ? POSIX_SPAWN_SETPGROUP : 0);
  posix_spawnattr_setflags(&attributes, static_cast<short>(flags));
  PartProcess process;
  int error = posix_spawn(&process.pid_, "/proc/self/exe", &actions, &attributes,
                          Pointers(args).data(), Pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(in[0]);
  close(out[1]);
  process.input_ = in[1];
  process.output_ = out[0];
  process.own_group_ = options.own_group;
  process.part_ = options.part;
  if (error == 0) return process;
  process.pid_ = -1;
  return Status(Code::kUnavailable, std::string("cannot start: ") + std::strerror(error));
}

PartProcess::PartProcess(PartProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      own_group_(other.own_group_),
      part_(std::move(other.part_)),
      input_(std::exchange(other.input_, -1)),
      output_(std::exchange(other.output_, -1)),
      read_(std::move(other.read_)) {}

PartProcess::~PartProcess() {
  if (pid_ > 0) {
    kill(own_group_ ? -pid_ : pid_, SIGKILL);
    (void)Wait();
  }
  if (input_ >= 0) close(input_);
  if (output_ >= 0) close(output_);
}

std::optional<std::string> PartProcess::ReadLine(Interrupt* interrupt) {
  while (true) {
    if (size_t end = read_.find('\n'); end != std::string::npos) {
      std::string line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return line;
    }
    if (interrupt && interrupt->WaitReadable(output_) == Interrupt::Wake::kInterrupted) {
      return std::nullopt;
    }
    char buffer[4096];
    ssize_t got = read(output_, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    read_.append(buffer, static_cast<size_t>(got));
  }
}

void PartProcess::WriteLine(const std::string& line) {
  (void)WriteFully(input_, line + "\n");
}

Status PartProcess::Wait() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Status();
  std::string how = WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status))
                                      : "signal " + std::to_string(WTERMSIG(status));
  return Status(Code::kUnknown, "the part " + part_ + " ended with " + how);
}

}  // namespace kiln::cli::microbenchmark
