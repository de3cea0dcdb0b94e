// What tests with real processes share: an event loop with a keeper, and ways to look for
// processes.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/event_loop.h"
#include "daemon/process/environment.h"
#include "daemon/process/keeper.h"
#include "daemon/process/process_tree.h"
#include "tests/unit/run_until.h"
#include "tests/unit/temp_dir.h"

namespace kiln::testing {

inline constexpr Duration kDeadline =
    seconds(20);  // for what takes milliseconds, on a busy machine

// The programs of keeper_host.cc and fork_host.cc, beside this one.
inline std::string KeeperHost() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "kiln-keeper-host";
}
inline std::string ForkHost() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "kiln-fork-host";
}

// A loop and a keeper; tells its events to whoever is set.
class KeeperFixture {
 public:
  explicit KeeperFixture(const std::string& executable = KeeperHost()) {
    process::Keeper::Callbacks callbacks;
    callbacks.started = [this](process::Keeper::LaunchId id, pid_t pid, int output_fd) {
      on_started(id, pid, output_fd);
    };
    callbacks.exited = [this](process::Keeper::LaunchId id, const process::ExitReport& report) {
      on_exited(id, report);
    };
    process::KeeperOptions options;
    options.executable = executable;
    auto started = process::Keeper::Start(&loop, {temp / "remove-me"}, callbacks, options);
    REQUIRE(started.ok());
    keeper = std::move(started).value();
  }

  bool RunUntil(const std::function<bool()>& holds, Duration deadline = kDeadline) {
    return testing::RunUntil(&loop, holds, deadline);
  }
  // Marks all that a test starts.
  std::string Mark() const { return "KILN_TEST=" + temp.path(); }
  std::vector<std::string> Environment() const {
    std::vector<std::string> env = process::OwnEnvironment();
    env.push_back(Mark());
    return env;
  }
  // Living processes that carry the mark.
  size_t CountMarked() const { return CountProcesses(Mark()); }

  static size_t CountProcesses(const std::string& mark) {
    size_t count = 0;
    for (const process::ProcessEntry& entry : process::ListProcesses()) {
      count += !entry.zombie && process::WasStartedWith(entry.pid, mark) == true;
    }
    return count;
  }

  TempDir temp;
  EventLoop loop;
  std::function<void(process::Keeper::LaunchId, pid_t, int)> on_started;
  std::function<void(process::Keeper::LaunchId, const process::ExitReport&)> on_exited;
  std::unique_ptr<process::Keeper> keeper;
};

}  // namespace kiln::testing
