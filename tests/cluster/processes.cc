#include "tests/cluster/processes.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "daemon/process/process_tree.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/wait_until.h"

extern char** environ;

namespace kiln::testing {
namespace {

namespace fs = std::filesystem;

std::string ProcFile(pid_t pid, const std::string& name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

std::vector<std::string> EnvironmentWith(const std::map<std::string, std::string>& changes) {
  std::vector<std::string> result;
  for (char** variable = environ; *variable; ++variable) {
    std::string text = *variable;
    if (!changes.contains(text.substr(0, text.find('=')))) result.push_back(text);
  }
  for (const auto& [name, value] : changes) {
    if (!value.empty()) result.push_back(name + "=" + value);
  }
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

bool IsAlive(pid_t pid) {
  return process::IsAlive(pid);
}

std::vector<pid_t> ProcessesNaming(const std::string& text) {
  std::vector<pid_t> found;
  for (const process::ProcessEntry& entry : process::ListProcesses()) {
    if (entry.zombie || entry.pid == getpid()) continue;
    if (ReadFile(ProcFile(entry.pid, "environ")).find(text) != std::string::npos) {
      found.push_back(entry.pid);
    }
  }
  return found;
}

std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> found;
  for (const process::ProcessEntry& entry : process::ListProcesses()) {
    if (entry.parent == parent && !entry.zombie) found.push_back(entry.pid);
  }
  return found;
}

std::string NameOf(pid_t pid) {
  std::string name = ReadFile(ProcFile(pid, "comm"));
  if (name.ends_with('\n')) name.pop_back();
  return name;
}

uint64_t ResidentBytes(pid_t pid) {
  std::istringstream status(ReadFile(ProcFile(pid, "status")));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::strtoull(line.c_str() + 8, nullptr, 10) * 1024;
  }
  return 0;
}

size_t CountStoreFiles(pid_t pid) {
  size_t count = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(ProcFile(pid, "fd"), error)) {
    std::error_code gone;
    count +=
        fs::read_symlink(entry.path(), gone).string().find("memfd:kiln-store") != std::string::npos;
  }
  std::istringstream maps(ReadFile(ProcFile(pid, "maps")));
  for (std::string line; std::getline(maps, line);) {
    count += line.find("memfd:kiln-store") != std::string::npos;
  }
  return count;
}

std::string BinaryPath(const std::string& name) {
  const char* dir = std::getenv("KILN_BIN_DIR");
  return std::string(dir ? dir : KILN_BIN_DIR) + "/" + name;
}

Child::Child(const std::vector<std::string>& command, std::string log,
             const std::map<std::string, std::string>& environment)
    : log_(std::move(log)) {
  std::vector<std::string> args = command;
  std::vector<std::string> variables = EnvironmentWith(environment);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  int failed = posix_spawn(&pid_, args[0].c_str(), &files, nullptr, Pointers(args).data(),
                           Pointers(variables).data());
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) throw std::runtime_error("cannot start " + args[0] + ": " + strerror(failed));
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      status_(other.status_),
      ended_(other.ended_),
      log_(std::move(other.log_)) {}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);  // ours ends with `other`
  std::swap(status_, other.status_);
  std::swap(ended_, other.ended_);
  std::swap(log_, other.log_);
  return *this;
}

Child::~Child() {
  if (pid_ < 0 || Reap()) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string Child::Output() const {
  return ReadFile(log_);
}

bool Child::AwaitOutput(const std::string& text) {
  bool found = false;
  WaitUntil(
      [&] {
        bool ended = Reap();  // before the look: what it wrote last counts
        found = Output().find(text) != std::string::npos;
        return found || ended;
      },
      kDeadline);
  return found;
}

void Child::Kill(int signal) {
  if (!Reap()) kill(pid_, signal);
}

bool Child::Reap() {
  if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
  return ended_;
}

int Child::AwaitEnd(std::chrono::steady_clock::duration deadline) {
  return WaitUntil([&] { return Reap(); }, deadline) ? status_ : -1;
}

int Child::AwaitExitCode() {
  if (AwaitEnd() == -1) return -1000;
  return WIFSIGNALED(status_) ? -WTERMSIG(status_) : WEXITSTATUS(status_);
}

}  // namespace kiln::testing
