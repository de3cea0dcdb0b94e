#include "daemon/store/prefaulter.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <memory>

#include "tests/unit/run_until.h"

namespace kiln::store {
namespace {

using testing::RunUntil;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr Duration kDeadline = seconds(30);

std::vector<std::unique_ptr<shm::Segment>> Segments(uint64_t size_bytes) {
  std::vector<std::unique_ptr<shm::Segment>> segments;
  for (shm::PageKind pages : {shm::PageKind::k4k, shm::PageKind::kHuge}) {
    auto segment = shm::Segment::Create(size_bytes, pages);
    if (segment.ok()) {
      segments.push_back(std::move(*segment));
    } else {
      WARN("not tested: " << segment.status().message());
    }
  }
  REQUIRE_FALSE(segments.empty());
  return segments;
}

uint64_t FileBytes(const shm::Segment& segment) {
  struct stat info;
  REQUIRE(fstat(segment.fd(), &info) == 0);
  return static_cast<uint64_t>(info.st_blocks) * 512;
}

Prefaulter::Options Options(uint64_t target_bytes) {
  Prefaulter::Options options;
  options.target_bytes = target_bytes;
  options.is_idle = [] { return true; };
  options.available_bytes = [] { return UINT64_MAX; };
  options.delay = Duration(0);
  return options;
}

}  // namespace

TEST_CASE("as much memory as asked for is taken ahead, and no more") {
  for (const auto& segment : Segments(64 * kMiB)) {
    INFO(shm::Name(segment->pages()));
    EventLoop loop;
    Prefaulter prefaulter(&loop, segment.get(), Options(32 * kMiB));
    CHECK(RunUntil(
        &loop, [&] { return prefaulter.has_ended(); }, kDeadline));
    CHECK(prefaulter.done_bytes() == 32 * kMiB);
    CHECK(FileBytes(*segment) == 32 * kMiB);
  }
}

TEST_CASE("more than there is cannot be taken ahead, and nothing if nothing is asked for") {
  for (const auto& segment : Segments(8 * kMiB)) {
    EventLoop loop;
    Prefaulter none(&loop, segment.get(), Options(0));
    CHECK(RunUntil(
        &loop, [&] { return none.has_ended(); }, kDeadline));
    CHECK(none.done_bytes() == 0);
    Prefaulter all(&loop, segment.get(), Options(100 * kMiB));
    CHECK(RunUntil(
        &loop, [&] { return all.has_ended(); }, kDeadline));
    CHECK(all.done_bytes() == 8 * kMiB);
  }
}

TEST_CASE("what lies in pages that are taken ahead stays as it is") {
  for (const auto& segment : Segments(8 * kMiB)) {
    auto room = segment->BeginWrite(shm::kPageBytes, 3 * kMiB);
    REQUIRE(room.ok());
    std::fill(*room, *room + 3 * kMiB, std::byte{7});
    EventLoop loop;
    Prefaulter prefaulter(&loop, segment.get(), Options(8 * kMiB));
    CHECK(RunUntil(
        &loop, [&] { return prefaulter.has_ended(); }, kDeadline));
    CHECK(std::count(*room, *room + 3 * kMiB, std::byte{7}) == 3 * kMiB);
  }
}

TEST_CASE("no memory is taken ahead while the head is busy") {
  for (const auto& segment : Segments(8 * kMiB)) {
    uint64_t before = FileBytes(*segment);
    EventLoop loop;
    int asked = 0;
    bool idle = false;
    Prefaulter::Options options = Options(8 * kMiB);
    options.is_idle = [&] { return ++asked, idle; };
    Prefaulter prefaulter(&loop, segment.get(), options);
    CHECK(RunUntil(
        &loop, [&] { return asked >= 3; }, kDeadline));
    CHECK(FileBytes(*segment) == before);
    CHECK_FALSE(prefaulter.has_ended());
    idle = true;
    CHECK(RunUntil(
        &loop, [&] { return prefaulter.has_ended(); }, kDeadline));
    CHECK(prefaulter.done_bytes() == 8 * kMiB);
  }
}

TEST_CASE("no more memory is taken ahead than is left") {
  for (const auto& segment : Segments(256 * kMiB)) {
    EventLoop loop;
    Prefaulter::Options options = Options(256 * kMiB);
    Prefaulter* started = nullptr;
    // As if all the machine had were 16 MiB, and somebody else's need grew.
    options.available_bytes = [&] { return started->done_bytes() > 0 ? 0 : 16 * kMiB; };
    Prefaulter prefaulter(&loop, segment.get(), options);
    started = &prefaulter;
    CHECK(RunUntil(
        &loop, [&] { return prefaulter.has_ended(); }, kDeadline));
    CHECK(prefaulter.done_bytes() > 0);
    CHECK(prefaulter.done_bytes() < 256 * kMiB);
  }
}

TEST_CASE("taking memory ahead ends with its owner, wherever it is") {
  for (const auto& segment : Segments(1024 * kMiB)) {
    EventLoop loop;
    uint64_t done;
    {
      Prefaulter prefaulter(&loop, segment.get(), Options(1024 * kMiB));
      CHECK(RunUntil(
          &loop, [&] { return prefaulter.done_bytes() > 0; }, kDeadline));
      done = prefaulter.done_bytes();
    }
    CHECK(done < 1024 * kMiB);
    CHECK(FileBytes(*segment) < 1024 * kMiB);
  }
}

TEST_CASE("by itself a store takes a quarter ahead, at most 1 GiB of huge pages") {
  for (const auto& segment : Segments(64 * kMiB)) {
    CHECK(Prefaulter::DefaultTarget(*segment) == 16 * kMiB);
  }
  for (const auto& segment : Segments(64 * 1024 * kMiB)) {
    bool huge = segment->pages() == shm::PageKind::kHuge;
    CHECK(Prefaulter::DefaultTarget(*segment) == (huge ? 1024 : 256) * kMiB);
  }
}

}  // namespace kiln::store
