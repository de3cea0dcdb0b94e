#include "common/shm/segment.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <string>

namespace kiln::shm {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

std::unique_ptr<Segment> MakeSegment(uint64_t size_bytes, PageKind pages = PageKind::k4k) {
  Result<std::unique_ptr<Segment>> segment = Segment::Create(size_bytes, pages);
  INFO((segment.ok() ? "" : segment.status().message()));
  REQUIRE(segment.ok());
  return std::move(*segment);
}

// False, with the reason as a warning, on a machine that gives nobody huge pages.
bool HasHugePages() {
  Result<std::unique_ptr<Segment>> segment = Segment::Create(2 * kHugePageBytes, PageKind::kHuge);
  if (!segment.ok()) WARN("not tested: " << segment.status().message());
  return segment.ok();
}

// The kinds this machine has.
std::vector<PageKind> Kinds() {
  if (HasHugePages()) return {PageKind::k4k, PageKind::kHuge};
  return {PageKind::k4k};
}

// Of this segment, by its mapping at `at`.
uint64_t HugeBytesMapped(const std::byte* at) {
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin, end, kb;
    if (sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      inside = begin <= reinterpret_cast<uintptr_t>(at) && reinterpret_cast<uintptr_t>(at) < end;
    } else if (inside && sscanf(line.c_str(), "ShmemPmdMapped: %lu kB", &kb) == 1) {
      return kb * 1024;
    }
  }
  return 0;
}

uint64_t FileBytes(const Segment& segment) {
  struct stat info;
  REQUIRE(fstat(segment.fd(), &info) == 0);
  return static_cast<uint64_t>(info.st_blocks) * 512;
}

// Returns: the signal that ended a process which wrote to `at`; 0 if it could.
int SignalOfWrite(const std::byte* at) {
  pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);  // Catch's and the sanitizers' handlers are not asked
    *const_cast<volatile std::byte*>(at) = std::byte{1};
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("a segment can be written only between BeginWrite and EndWrite") {
  for (PageKind pages : Kinds()) {
    INFO(Name(pages));
    auto segment = MakeSegment(8 * kMiB, pages);
    CHECK(SignalOfWrite(segment->data()) == SIGSEGV);
    Result<std::byte*> room = segment->BeginWrite(4 * kPageBytes, 2 * kPageBytes);
    REQUIRE(room.ok());
    CHECK(*room == segment->data() + 4 * kPageBytes);
    CHECK(SignalOfWrite(*room) == 0);
    CHECK(SignalOfWrite(*room + 2 * kPageBytes) == SIGSEGV);
    CHECK(SignalOfWrite(*room - 1) == SIGSEGV);
    segment->EndWrite(4 * kPageBytes, 2 * kPageBytes);
    CHECK(SignalOfWrite(*room) == SIGSEGV);
  }
}

TEST_CASE("what one mapping writes another one reads at the same offset") {
  for (PageKind pages : Kinds()) {
    INFO(Name(pages));
    auto writer = MakeSegment(8 * kMiB, pages);
    Result<std::unique_ptr<Segment>> reader = Segment::Attach(dup(writer->fd()), writer->ticket());
    REQUIRE(reader.ok());
    CHECK((*reader)->pages() == pages);
    CHECK((*reader)->size_bytes() == 8 * kMiB);
    // Pages, blocks, and what lies across both.
    for (auto [begin, size] : {std::pair{kPageBytes, size_t{5}},
                               {kHugePageBytes, kHugePageBytes},
                               {kHugePageBytes - kPageBytes, kHugePageBytes + 3 * kPageBytes}}) {
      Result<std::byte*> room = writer->BeginWrite(begin, size);
      REQUIRE(room.ok());
      memset(*room, 'x', size);
      writer->EndWrite(begin, size);
      const std::byte* read = (*reader)->data() + begin;
      CHECK(std::count(read, read + size, std::byte{'x'}) == static_cast<ptrdiff_t>(size));
    }
  }
}

TEST_CASE("pages that turn into a huge one keep what was written to them") {
  if (!HasHugePages()) return;
  auto first = MakeSegment(8 * kMiB, PageKind::kHuge);
  auto second = Segment::Attach(dup(first->fd()), first->ticket());
  REQUIRE(second.ok());
  uint64_t block = 2 * kHugePageBytes;
  Result<std::byte*> small = first->BeginWrite(block + 5 * kPageBytes, kPageBytes);
  REQUIRE(small.ok());
  memset(*small, 's', kPageBytes);
  // Another process takes all of the block meanwhile, as for a large object over a small one.
  REQUIRE((*second)->BeginWrite(block, kHugePageBytes).ok());
  CHECK(HugeBytesMapped((*second)->data() + block) == kHugePageBytes);
  memset(*small + 100, 't', 100);
  const std::byte* read = (*second)->data() + block + 5 * kPageBytes;
  CHECK(std::count(read, read + kPageBytes, std::byte{'s'}) == kPageBytes - 100);
  CHECK(std::count(read, read + kPageBytes, std::byte{'t'}) == 100);
}

TEST_CASE("a large range of a segment with huge pages is mapped by them, and stays so") {
  if (!HasHugePages()) return;
  auto segment = MakeSegment(32 * kMiB, PageKind::kHuge);
  for (int round = 0; round < 2; ++round) {
    Result<std::byte*> room = segment->BeginWrite(4 * kMiB, 16 * kMiB);
    REQUIRE(room.ok());
    memset(*room, 1, 16 * kMiB);
    CHECK(HugeBytesMapped(*room) == 16 * kMiB);
    segment->EndWrite(4 * kMiB, 16 * kMiB);
  }
  // A reader that comes later maps them as they are.
  auto reader = Segment::Attach(dup(segment->fd()), segment->ticket());
  REQUIRE(reader.ok());
  for (uint64_t at = 4 * kMiB; at < 20 * kMiB; at += kHugePageBytes) {
    CHECK((*reader)->data()[at] == std::byte{1});
  }
  CHECK(HugeBytesMapped((*reader)->data()) == 16 * kMiB);
}

TEST_CASE("what was reserved has all its pages") {
  for (PageKind pages : Kinds()) {
    INFO(Name(pages));
    auto segment = MakeSegment(64 * kMiB, pages);
    uint64_t before = FileBytes(*segment);
    REQUIRE(segment->BeginWrite(4 * kMiB + kPageBytes, 40 * kMiB).ok());
    CHECK(FileBytes(*segment) == before + 40 * kMiB);
    REQUIRE(segment->BeginWrite(4 * kMiB + kPageBytes, 40 * kMiB).ok());
    CHECK(FileBytes(*segment) == before + 40 * kMiB);
  }
}

TEST_CASE("a process that may have no huge pages writes to a segment that has them") {
  if (!HasHugePages()) return;
  auto segment = MakeSegment(16 * kMiB, PageKind::kHuge);
  REQUIRE(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
  Result<std::byte*> room = segment->BeginWrite(4 * kMiB, 8 * kMiB);
  Result<std::unique_ptr<Segment>> other = Segment::Create(16 * kMiB, PageKind::kHuge);
  REQUIRE(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0);
  REQUIRE(room.ok());
  memset(*room, 1, 8 * kMiB);
  CHECK(HugeBytesMapped(*room) == 0);
  // But it cannot make one.
  REQUIRE_FALSE(other.ok());
  CHECK(other.status().code() == Code::kFailedPrecondition);
  CHECK(other.status().message().find("PR_SET_THP_DISABLE") != std::string::npos);
}

TEST_CASE("a segment smaller than a huge page has none") {
  CHECK(Segment::Create(kMiB, PageKind::kHuge).status().code() == Code::kFailedPrecondition);
}

TEST_CASE("nobody can resize a segment") {
  for (PageKind pages : Kinds()) {
    auto segment = MakeSegment(4 * kMiB, pages);
    CHECK(ftruncate(segment->fd(), 0) != 0);
    CHECK(ftruncate(segment->fd(), 8 * kMiB) != 0);
  }
}

TEST_CASE("a descriptor that is no segment of the size told is refused") {
  auto segment = MakeSegment(4 * kPageBytes);
  CHECK(Segment::Attach(dup(segment->fd()), 8 * kPageBytes).status().code() ==
        Code::kInvalidArgument);
  CHECK_FALSE(Segment::Attach(dup(segment->fd()), segment->ticket() + 2).ok());  // no such pages
  CHECK_FALSE(Segment::Attach(dup(segment->fd()), UINT64_MAX).ok());
  int unsealed = memfd_create("kiln-test", MFD_CLOEXEC);
  REQUIRE(ftruncate(unsealed, 4 * kPageBytes) == 0);
  CHECK_FALSE(Segment::Attach(unsealed, 4 * kPageBytes).ok());
}

TEST_CASE("a range lies inside a segment or it does not, also when it would wrap around") {
  auto segment = MakeSegment(4 * kPageBytes);
  CHECK(segment->Contains(0, 4 * kPageBytes));
  CHECK(segment->Contains(4 * kPageBytes, 0));
  CHECK_FALSE(segment->Contains(kPageBytes, 4 * kPageBytes));
  CHECK_FALSE(segment->Contains(UINT64_MAX, 2));
  CHECK_FALSE(segment->Contains(2, UINT64_MAX));
}

TEST_CASE("an interval set merges what touches or overlaps") {
  IntervalSet set;
  CHECK(set.Covers(5, 5));
  CHECK_FALSE(set.Covers(5, 6));
  set.Add(0, 10);
  set.Add(20, 30);
  CHECK(set.size() == 2);
  CHECK_FALSE(set.Covers(5, 25));
  set.Add(10, 20);
  CHECK(set.size() == 1);
  CHECK(set.Covers(0, 30));
  CHECK_FALSE(set.Covers(0, 31));
  set.Add(5, 40);
  CHECK(set.Covers(0, 40));
  CHECK(set.size() == 1);
}

}  // namespace kiln::shm
