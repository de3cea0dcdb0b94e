#include "daemon/process/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>

namespace kiln::process {
namespace {

constexpr uint64_t kNoBound = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kBytesPerKb = 1024;

// The number that follows `name` in a file of "name number" lines.
std::optional<uint64_t> ReadField(const std::string& path, std::string_view name) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(name)) continue;
    try {
      return std::stoull(line.substr(name.size()));
    } catch (const std::exception&) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

struct FileNames {
  const char* limit;
  const char* usage;
  const char* cache;  // in memory.stat
};
constexpr FileNames kV1{"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file "};
constexpr FileNames kV2{"/memory.max", "/memory.current", "inactive_file "};

uint64_t LeftIn(const std::string& dir, const FileNames& names) {
  const std::optional<int64_t> limit = ReadNumber(dir + names.limit);
  const std::optional<int64_t> usage = ReadNumber(dir + names.usage);
  if (!limit || !usage || *limit < 0 || *usage < 0) return kNoBound;
  const uint64_t used = static_cast<uint64_t>(*usage);
  const uint64_t cache = ReadField(dir + "/memory.stat", names.cache).value_or(0);
  const uint64_t held = used - std::min(cache, used);
  return static_cast<uint64_t>(*limit) - std::min(held, static_cast<uint64_t>(*limit));
}

}  // namespace

uint64_t AvailableMemoryBytes(const CgroupPlace& place, const std::string& meminfo) {
  uint64_t available = kNoBound;
  if (const std::optional<uint64_t> kb = ReadField(meminfo, "MemAvailable:")) {
    available = *kb * kBytesPerKb;
  }
  for (const CgroupDirs& groups : FindCgroups(place, "memory")) {
    for (const std::string& dir : groups.dirs) {
      available = std::min(available, LeftIn(dir, groups.version == 2 ? kV2 : kV1));
    }
  }
  return available == kNoBound ? 0 : available;
}

uint64_t ProportionalBytes(const std::string& smaps) {
  std::ifstream file(smaps);
  std::string line;
  uint64_t bytes = 0;
  bool store = false;
  while (std::getline(file, line)) {
    // A mapping's first line is its range in hexadecimal; the others begin with a capital.
    if (!line.empty() && !(line[0] >= 'A' && line[0] <= 'Z')) {
      store = line.find("memfd:kiln-store") != std::string::npos;
    } else if (line.starts_with("Pss:") && !store) {
      bytes += std::strtoull(line.c_str() + 4, nullptr, 10) * kBytesPerKb;
    }
  }
  return bytes;
}

uint64_t ProportionalBytesOf(int64_t pid, const std::string& proc) {
  const std::string dir = proc + "/" + std::to_string(pid);
  std::ifstream rollup(dir + "/smaps_rollup");
  uint64_t bytes = 0;
  bool told = false;
  for (std::string line; std::getline(rollup, line);) {
    const bool anonymous = line.starts_with("Pss_Anon:");
    if (!anonymous && !line.starts_with("Pss_File:")) continue;
    told = told || anonymous;
    bytes += std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10) * kBytesPerKb;
  }
  return told ? bytes : ProportionalBytes(dir + "/smaps");  // Linux before 5.9 tells only the sum
}

}  // namespace kiln::process
