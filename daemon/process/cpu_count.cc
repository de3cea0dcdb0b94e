#include "daemon/process/cpu_count.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <limits>
#include <string>

namespace kiln::process {
namespace {

constexpr int kMostCpus = 1 << 20;  // the mask is made larger up to this until the kernel's fits

int AffinityCount() {
  for (int cpus = 1024; cpus <= kMostCpus; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    const size_t size = CPU_ALLOC_SIZE(cpus);
    const bool got = sched_getaffinity(0, size, set) == 0;
    const bool too_small = !got && errno == EINVAL;
    const int count = got ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (got) return count;
    if (!too_small) break;
  }
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

// "50000 100000" or "max 100000". Returns: CPUs; no bound: infinity.
double QuotaV2(const std::string& dir) {
  std::ifstream in(dir + "/cpu.max");
  double quota = 0;
  double period = 0;
  if (!(in >> quota >> period) || quota <= 0 || period <= 0) {
    return std::numeric_limits<double>::infinity();
  }
  return quota / period;
}

double QuotaV1(const std::string& dir) {
  const int64_t quota = ReadNumber(dir + "/cpu.cfs_quota_us").value_or(-1);
  const int64_t period = ReadNumber(dir + "/cpu.cfs_period_us").value_or(0);
  if (quota <= 0 || period <= 0) return std::numeric_limits<double>::infinity();
  return static_cast<double>(quota) / static_cast<double>(period);
}

}  // namespace

int AvailableCpus(const CgroupPlace& place) {
  const int affinity = std::max(1, AffinityCount());
  double quota = std::numeric_limits<double>::infinity();
  for (const CgroupDirs& groups : FindCgroups(place, "cpu")) {
    for (const std::string& dir : groups.dirs) {
      quota = std::min(quota, groups.version == 2 ? QuotaV2(dir) : QuotaV1(dir));
    }
  }
  if (quota >= affinity) return affinity;
  const int whole = static_cast<int>(quota);
  return std::max(1, whole < quota ? whole + 1 : whole);
}

}  // namespace kiln::process
