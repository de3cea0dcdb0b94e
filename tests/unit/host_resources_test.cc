#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "daemon/process/cgroup.h"
#include "daemon/process/cpu_count.h"
#include "daemon/process/memory.h"
#include "tests/unit/temp_dir.h"

namespace kiln::process {
namespace {

using testing::TempDir;
using testing::WriteFile;

constexpr uint64_t kMiB = uint64_t{1} << 20;

// A tree of control groups and what /proc tells of it.
class FakeHost {
 public:
  explicit FakeHost(const std::string& memberships) {
    WriteFile(temp / "self", memberships);
    WriteFile(temp / "meminfo",
              "MemTotal:        2097152 kB\nMemFree: 1 kB\nMemAvailable:    1048576 kB\n");
    place.root = temp / "cg";
    place.own = temp / "self";
    std::filesystem::create_directories(place.root);
  }
  void Set(const std::string& file, const std::string& text) {
    const std::filesystem::path path = place.root + "/" + file;
    std::filesystem::create_directories(path.parent_path());
    WriteFile(path.string(), text);
  }
  int Cpus() const { return AvailableCpus(place); }
  uint64_t MemoryMiB() const { return AvailableMemoryBytes(place, temp / "meminfo") / kMiB; }

  TempDir temp;
  CgroupPlace place;
};

// CPUs that this thread may use.
int Affinity() {
  cpu_set_t set;
  REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
  return CPU_COUNT(&set);
}

TEST_CASE("without a quota the CPUs are those of the affinity mask") {
  FakeHost none("");
  CHECK(none.Cpus() == Affinity());
  FakeHost unlimited("0::/a\n");
  unlimited.Set("cgroup.controllers", "cpu memory");
  unlimited.Set("a/cpu.max", "max 100000\n");
  CHECK(unlimited.Cpus() == Affinity());

  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  const int pinned = none.Cpus();
  REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
  CHECK(pinned == 1);
}

TEST_CASE("a quota of version 2 counts, rounded up, the tightest of all parents") {
  FakeHost host("0::/a/b\n");
  host.Set("cgroup.controllers", "cpu memory");
  host.Set("a/b/cpu.max", "50000 100000\n");
  CHECK(host.Cpus() == 1);
  host.Set("a/b/cpu.max", "120000 100000\n");
  CHECK(host.Cpus() == std::min(2, Affinity()));
  host.Set("a/cpu.max", "1000 100000\n");
  CHECK(host.Cpus() == 1);
  host.Set("a/cpu.max", "nonsense");
  host.Set("a/b/cpu.max", "100000000 100000\n");
  CHECK(host.Cpus() == Affinity());
}

TEST_CASE("a quota of version 1 counts, also where the path of a container does not exist") {
  FakeHost host("9:name=systemd:/x\n3:cpu,cpuacct:/docker/abc\n");
  host.Set("cpu,cpuacct/cpu.cfs_quota_us", "100000\n");
  host.Set("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  CHECK(host.Cpus() == 1);
  host.Set("cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  CHECK(host.Cpus() == Affinity());
  FakeHost linked("3:cpu,cpuacct:/\n");  // mounted by one controller's name
  linked.Set("cpu/cpu.cfs_quota_us", "20000\n");
  linked.Set("cpu/cpu.cfs_period_us", "100000\n");
  CHECK(linked.Cpus() == 1);
}

TEST_CASE("memory is what the system has, or what a cgroup leaves") {
  FakeHost none("");
  CHECK(none.MemoryMiB() == 1024);

  FakeHost v2("0::/a/b\n");
  v2.Set("cgroup.controllers", "cpu memory");
  v2.Set("a/b/memory.max", "max\n");
  v2.Set("a/b/memory.current", "1048576\n");
  CHECK(v2.MemoryMiB() == 1024);
  v2.Set("a/memory.max", std::to_string(300 * kMiB));
  v2.Set("a/memory.current", std::to_string(200 * kMiB));
  CHECK(v2.MemoryMiB() == 100);
  v2.Set("a/memory.stat", "anon 5\ninactive_file " + std::to_string(50 * kMiB) + "\n");
  CHECK(v2.MemoryMiB() == 150);  // file cache can be given up
  v2.Set("a/memory.current", std::to_string(400 * kMiB));
  CHECK(v2.MemoryMiB() == 0);

  FakeHost v1("4:memory:/process/x\n0::/\n");
  v1.Set("memory/process/x/memory.limit_in_bytes", std::to_string(100 * kMiB));
  v1.Set("memory/process/x/memory.usage_in_bytes", std::to_string(40 * kMiB));
  v1.Set("memory/memory.limit_in_bytes", "9223372036854771712\n");
  v1.Set("memory/memory.usage_in_bytes", "5\n");
  CHECK(v1.MemoryMiB() == 60);
}

TEST_CASE("the memory of a process is told without what it shares") {
  TempDir proc;
  std::filesystem::create_directories(proc / "7");
  CHECK(ProportionalBytesOf(7, proc.path()) == 0);  // it has ended
  WriteFile(proc / "7/smaps",
            "00400000-00500000 r-xp 00000000 08:01 17 /bin/x\nPss: 3 kB\n"
            "7f000000-7f100000 r--s 00000000 00:01 5 /memfd:kiln-store (deleted)\nPss: 100 kB\n");
  CHECK(ProportionalBytesOf(7, proc.path()) == 3 * 1024);
  WriteFile(proc / "7/smaps_rollup",
            "00400000-7ffdc619f000 ---p 00000000 00:00 0 [rollup]\nRss: 900 kB\nPss: 160 kB\n"
            "Pss_Dirty: 90 kB\nPss_Anon: 40 kB\nPss_File: 20 kB\nPss_Shmem: 100 kB\n");
  CHECK(ProportionalBytesOf(7, proc.path()) == 60 * 1024);
  CHECK(ProportionalBytesOf(getpid()) > 64 * 1024);
}

TEST_CASE("this machine has at least one CPU and some memory") {
  CHECK(AvailableCpus() >= 1);
  CHECK(AvailableMemoryBytes() > kMiB);
}

}  // namespace
}  // namespace kiln::process
