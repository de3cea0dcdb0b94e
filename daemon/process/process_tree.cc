#include "daemon/process/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "daemon/process/unique_fd.h"

namespace kiln::process {
namespace {

constexpr auto kKillTimeout = std::chrono::seconds(5);

// Returns: nothing if the process is gone.
std::optional<ProcessEntry> ReadEntry(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t count = fd.valid() ? read(fd.get(), text, sizeof text - 1) : -1;
  if (count <= 0) return std::nullopt;
  text[count] = '\0';
  // "pid (name) state parent group session ...": the name may hold anything, also ") ".
  const char* after_name = std::strrchr(text, ')');
  ProcessEntry entry;
  entry.pid = pid;
  char state;
  if (after_name == nullptr || std::sscanf(after_name + 1, " %c %d %d %d", &state, &entry.parent,
                                           &entry.group, &entry.session) != 4) {
    return std::nullopt;
  }
  entry.zombie = state == 'Z' || state == 'X';
  return entry;
}

}  // namespace

std::vector<ProcessEntry> ListProcesses() {
  std::vector<ProcessEntry> entries;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return entries;
  while (const dirent* item = readdir(proc)) {
    const std::string_view name(item->d_name);
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    if (const std::optional<ProcessEntry> entry = ReadEntry(pid)) entries.push_back(*entry);
  }
  closedir(proc);
  return entries;
}

std::vector<ProcessEntry> DescendantsOf(pid_t root) {
  std::unordered_multimap<pid_t, ProcessEntry> by_parent;
  for (const ProcessEntry& entry : ListProcesses()) by_parent.emplace(entry.parent, entry);
  std::vector<ProcessEntry> found;
  std::vector<pid_t> parents{root};
  while (!parents.empty()) {
    const pid_t parent = parents.back();
    parents.pop_back();
    const auto [begin, end] = by_parent.equal_range(parent);
    for (auto it = begin; it != end; ++it) {
      found.push_back(it->second);
      parents.push_back(it->second.pid);
    }
    by_parent.erase(begin, end);  // a listing that changed under us might hold a circle
  }
  return found;
}

bool IsAlive(pid_t pid) {
  const std::optional<ProcessEntry> entry = ReadEntry(pid);
  return entry && !entry->zombie;
}

std::optional<bool> WasStartedWith(pid_t pid, const std::string& variable) {
  const std::string path = "/proc/" + std::to_string(pid) + "/environ";
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return std::nullopt;
  std::string text(1, '\0');  // so that each variable has a NUL on both sides
  char buffer[16 * 1024];
  ssize_t count;
  while ((count = read(fd.get(), buffer, sizeof buffer)) > 0) {
    text.append(buffer, static_cast<size_t>(count));
  }
  if (text.size() == 1) return std::nullopt;
  text += '\0';
  std::string wanted(1, '\0');
  wanted += variable;
  wanted += '\0';
  return text.find(wanted) != text.npos;
}

void KillDescendants() {
  const auto end = std::chrono::steady_clock::now() + kKillTimeout;
  while (std::chrono::steady_clock::now() < end) {
    const std::vector<ProcessEntry> entries = DescendantsOf(getpid());
    if (entries.empty()) return;
    bool any_alive = false;
    for (const ProcessEntry& entry : entries) {
      if (entry.zombie) continue;
      any_alive = true;
      kill(entry.pid, SIGKILL);
    }
    // The killed take a moment to go; the next look also finds what they forked last.
    if (any_alive) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}

}  // namespace kiln::process
