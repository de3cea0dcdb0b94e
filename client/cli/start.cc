// `kiln start --head`: starts the head's own program and tells what it answers.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "client/cli/argument_text.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/interrupt.h"
#include "client/cli/process_end.h"
#include "client/cli/quantity.h"
#include "client/cli/shell_text.h"
#include "common/head_answer.h"
#include "common/session_dir.h"

extern char** environ;

namespace kiln::cli {
namespace {

// In the head's process.
constexpr int kAnswerFd = 3;
constexpr int kOwnerFd = 4;  // with --block: hangs up when we are gone, in whatever way

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// Beside this executable, since they are installed and built together.
Result<std::string> HeadBinary() {
  std::string path = Environment("KILN_HEAD_BINARY");
  if (path.empty()) {
    std::error_code error;
    path = (std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "kiln-head");
  }
  if (access(path.c_str(), X_OK) == 0) return path;
  return Status(Code::kNotFound, "cannot run " + path + ": " + std::strerror(errno) +
                                     "; build it, or name it with KILN_HEAD_BINARY");
}

// Errors: InvalidArgument (a size or resources).
Result<std::vector<std::string>> HeadArguments(const StartOptions& options) {
  std::string dir = options.session_dir;
  if (dir.empty()) dir = Environment("KILN_SESSION_DIR");
  if (dir.empty()) dir = DefaultSessionDir();
  std::vector<std::string> args = {"kiln-head", "--session-dir", SessionPaths(dir).dir,
                                   "--answer-fd", std::to_string(kAnswerFd)};
  auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) args.insert(args.end(), {flag, value});
  };
  if (options.num_cpus > 0) add("--num-cpus", std::to_string(options.num_cpus));
  if (!options.object_store_memory.empty()) {
    auto size = ParseSize(options.object_store_memory);
    if (!size.ok()) {
      return Status(Code::kInvalidArgument, "--object-store-memory: " + size.status().message());
    }
    add("--object-store-memory", std::to_string(*size));
  }
  add("--store-pages", options.store_pages);
  if (options.store_prefault == "0") {
    add("--store-prefault", "0");
  } else if (!options.store_prefault.empty()) {
    auto size = ParseSize(options.store_prefault);
    if (!size.ok()) {
      return Status(Code::kInvalidArgument, "--store-prefault: " + size.status().message());
    }
    add("--store-prefault", std::to_string(*size));
  }
  auto resources = ParseResources(options.resources);
  if (!resources.ok()) return resources.status();
  add("--resources", options.resources);
  add("--listen", options.listen);
  add("--log-level", options.log_level);
  if (options.block) args.insert(args.end(), {"--block", "--owner-fd", std::to_string(kOwnerFd)});
  return args;
}

struct Child {
  pid_t pid = -1;
  int answer_fd = -1;  // read end
  int owner_fd = -1;   // write end, with --block; closed by our own end
};

// Starts the head with the signals of a fresh process, and with --block in a process group of its
// own, so that Ctrl-C reaches it once, through us.
Result<Child> Spawn(const std::string& binary, const std::vector<std::string>& args, bool block) {
  int answer[2];
  int owner[2] = {-1, -1};
  if (pipe2(answer, O_CLOEXEC) != 0 || (block && pipe2(owner, O_CLOEXEC) != 0)) {
    return Status(Code::kUnavailable, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // The pipes got the lowest numbers that were free, in this order, so neither overwrites the
  // other.
  posix_spawn_file_actions_adddup2(&actions, answer[1], kAnswerFd);
  if (block) posix_spawn_file_actions_adddup2(&actions, owner[0], kOwnerFd);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, pipe_signal;
  sigemptyset(&none);
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
  int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (block) flags |= POSIX_SPAWN_SETPGROUP;
  posix_spawnattr_setflags(&attributes, static_cast<short>(flags));

  std::vector<char*> argv;
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  Child child;
  int error = posix_spawn(&child.pid, binary.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(answer[1]);
  if (block) close(owner[0]);
  child.answer_fd = answer[0];
  child.owner_fd = owner[1];
  if (error == 0) return child;
  close(answer[0]);
  return Status(Code::kUnavailable, "cannot start " + binary + ": " + std::strerror(error));
}

// The answer's line without its end; shorter, even empty, if the head ended before.
// Errors: Cancelled (Ctrl-C).
Result<std::string> ReadAnswerLine(int fd, Interrupt& interrupt) {
  std::string line;
  while (true) {
    if (interrupt.WaitReadable(fd) == Interrupt::Wake::kInterrupted) {
      return Status(Code::kCancelled, "interrupted while the head was starting");
    }
    char buffer[4096];
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return line;
    line.append(buffer, static_cast<size_t>(n));
    size_t end = line.find('\n');
    if (end != std::string::npos) return line.substr(0, end);
  }
}

std::string Describe(const Console& console, const HeadInfo& info, const StartOptions& options) {
  Connection connection;
  if (!options.session_dir.empty()) connection.session_dir = info.session_dir;
  std::string text = console.Paint(Colour::kGreen, "kiln started.") + "\n";
  auto line = [&](const std::string& name, const std::string& value) {
    text += "  " + name + std::string(14 - name.size(), ' ') + value + "\n";
  };
  line("Address", info.address);
  if (!info.tcp_address.empty()) {
    line("TCP address",
         info.tcp_address + " (token in " + SessionPaths(info.session_dir).token + ")");
  }
  line("Workers", std::to_string(info.num_workers) + " (" + FormatNumber(info.num_cpus) + " CPUs)");
  line("Object store", FormatSize(info.store_bytes));
  line("Logs", info.log_dir);
  line("Process", std::to_string(info.pid));

  text += "\n" + console.Paint(Colour::kBold, "Next steps") + "\n";
  auto step = [&](const std::string& what, const std::string& command) {
    text += "  " + what + ":\n    " + command + "\n";
  };
  std::string connect = "Connect from C++";
  if (!connection.session_dir.empty()) {
    connect += ", with KILN_SESSION_DIR=" + ShellQuote(info.session_dir) + " in the environment";
  }
  step(connect, "kiln::Session session = kiln::Connect(argc, argv);  // #include <kiln/kiln.h>");
  step("Run a function of a task library", KilnCommand("run LIBRARY.so:FUNCTION 1 2", connection));
  std::string submit = KilnCommand("submit", connection) + " -- COMMAND ARGS...";
  step("Run a command as a job", submit);
  step("See what it does", KilnCommand("status", connection));
  step("Stop it", KilnCommand("stop", connection));
  return text;
}

// Stays until the head ends; passes Ctrl-C on to it as SIGTERM. Returns: the exit code.
int StayAttached(Console& console, pid_t pid, Interrupt& interrupt) {
  if (!console.json()) console.Note("attached to the head; Ctrl-C stops it");
  ProcessEnd end(pid);
  if (end.Wait(interrupt, kForever) == ProcessEnd::Outcome::kInterrupted) {
    kill(pid, SIGTERM);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    if (!console.json()) console.Note("the head has stopped");
    return console.Finish(kExitOk);
  }
  std::string how = WIFEXITED(status) ? "with exit code " + std::to_string(WEXITSTATUS(status))
                                      : "by signal " + std::to_string(WTERMSIG(status));
  return console.Fail({Code::kInternal, "the head ended " + how + "; its log says why"});
}

}  // namespace

int RunStart(Console& console, const StartOptions& options) {
  if (!options.head) {
    return console.FailUsage("this version of kiln has heads only; start one with: " +
                             std::string("kiln start --head"));
  }
  auto args = HeadArguments(options);
  if (!args.ok()) return console.Fail(args.status());
  auto binary = HeadBinary();
  if (!binary.ok()) return console.Fail(binary.status());

  Interrupt interrupt({SIGINT, SIGTERM});
  auto child = Spawn(*binary, *args, options.block);
  if (!child.ok()) return console.Fail(child.status(), kExitFailed);
  auto line = ReadAnswerLine(child->answer_fd, interrupt);
  close(child->answer_fd);
  if (!line.ok()) {
    kill(child->pid, SIGTERM);
    return console.Fail({Code::kCancelled, line.status().message() + "; 'kiln status' says " +
                                               "whether it runs, 'kiln stop' stops it"});
  }
  auto info = ParseAnswer(*line);
  if (!options.block || !info.ok()) {
    while (waitpid(child->pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (!info.ok()) return console.Fail(info.status(), kExitFailed);
  console.Write(console.json() ? nlohmann::ordered_json::parse(ToJson(*info)).dump(2) + "\n"
                               : Describe(console, *info, options));
  return options.block ? StayAttached(console, child->pid, interrupt) : console.Finish(kExitOk);
}

}  // namespace kiln::cli
