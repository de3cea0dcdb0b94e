// The control groups that bound this process, version 1 or 2.
//
// Thread: plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kiln::process {

// Where to look; other trees in tests.
struct CgroupPlace {
  std::string root = "/sys/fs/cgroup";
  std::string own = "/proc/self/cgroup";
};

// Directories of one controller's groups that we are in.
struct CgroupDirs {
  int version = 2;
  std::vector<std::string> dirs;  // our own first, then its parents, the root last
};

// Returns: one entry per hierarchy that may bound `controller` ("cpu", "memory"); both versions may
// be mounted. In a container the path that /proc tells may not exist; then the parents that do.
std::vector<CgroupDirs> FindCgroups(const CgroupPlace& place, const std::string& controller);

// The number in a file. Returns: nothing if it is not there or not a number ("max").
std::optional<int64_t> ReadNumber(const std::string& path);

}  // namespace kiln::process
