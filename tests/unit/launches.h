// A keeper and what became of each launch.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/process_fixture.h"

namespace kiln::testing {

// Collects what each launch did.
class Launches : public KeeperFixture {
 public:
  struct Record {
    pid_t pid = 0;
    int output_fd = -1;
    int exits = 0;
    process::ExitReport report;
    std::string output;
  };

  explicit Launches(const std::string& executable = KeeperHost()) : KeeperFixture(executable) {
    on_started = [this](process::Keeper::LaunchId id, pid_t pid, int output_fd) {
      CHECK(records[id].exits == 0);
      records[id].pid = pid;
      records[id].output_fd = output_fd;
    };
    on_exited = [this](process::Keeper::LaunchId id, const process::ExitReport& report) {
      ++records[id].exits;
      records[id].report = report;
      ++exited;
    };
  }
  ~Launches() {
    for (auto& [id, record] : records) {
      if (record.output_fd >= 0) close(record.output_fd);
    }
  }

  process::LaunchSpec Spec(std::vector<std::string> args) const {
    process::LaunchSpec spec;
    spec.executable = args[0];
    spec.args = std::move(args);
    spec.env = Environment();
    spec.working_dir = "/";
    spec.own_session = true;
    return spec;
  }
  process::LaunchSpec Shell(const std::string& script) const { return Spec({"sh", "-c", script}); }

  // Runs it to its end. Returns: what it wrote.
  Record Run(const process::LaunchSpec& spec) {
    const process::Keeper::LaunchId id = keeper->Launch(spec);
    REQUIRE(RunUntil([&] { return records[id].exits == 1; }));
    ReadOutput(&records[id]);
    return records[id];
  }
  void ReadOutput(Record* record) {
    char buffer[4096];
    ssize_t count;
    while (record->output_fd >= 0 && (count = read(record->output_fd, buffer, sizeof buffer)) > 0) {
      record->output.append(buffer, static_cast<size_t>(count));
    }
  }
  // Starts it and waits until it has written `word`.
  process::Keeper::LaunchId StartUntil(const process::LaunchSpec& spec, const std::string& word) {
    const process::Keeper::LaunchId id = keeper->Launch(spec);
    REQUIRE(RunUntil([&] {
      ReadOutput(&records[id]);
      return records[id].output.find(word) != std::string::npos;
    }));
    return id;
  }
  bool RunUntilExit(process::Keeper::LaunchId id) {
    return RunUntil([&] { return records[id].exits == 1; });
  }

  std::map<process::Keeper::LaunchId, Record> records;
  int exited = 0;
};

}  // namespace kiln::testing
