#include "common/shm/segment.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace kiln::shm {
namespace {

std::unique_ptr<Segment> MakeSegment(uint64_t size_bytes) {
  Result<std::unique_ptr<Segment>> segment = Segment::Create(size_bytes);
  REQUIRE(segment.ok());
  return std::move(*segment);
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

TEST_CASE("a segment can be written only between BeginWrite and EndWrite") {
  auto segment = MakeSegment(16 * kPageBytes);
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

TEST_CASE("what one mapping writes another one reads at the same offset") {
  auto writer = MakeSegment(8 * kPageBytes);
  Result<std::unique_ptr<Segment>> reader =
      Segment::Attach(dup(writer->fd()), writer->size_bytes());
  REQUIRE(reader.ok());
  Result<std::byte*> room = writer->BeginWrite(kPageBytes, 5);
  REQUIRE(room.ok());
  memcpy(*room, "hello", 5);
  writer->EndWrite(kPageBytes, 5);
  CHECK(memcmp((*reader)->data() + kPageBytes, "hello", 5) == 0);
}

TEST_CASE("nobody can resize a segment") {
  auto segment = MakeSegment(4 * kPageBytes);
  CHECK(ftruncate(segment->fd(), 0) != 0);
  CHECK(ftruncate(segment->fd(), 8 * kPageBytes) != 0);
}

TEST_CASE("a descriptor that is no segment of the size told is refused") {
  auto segment = MakeSegment(4 * kPageBytes);
  CHECK(Segment::Attach(dup(segment->fd()), 8 * kPageBytes).status().code() ==
        Code::kInvalidArgument);
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

}  // namespace
}  // namespace kiln::shm
