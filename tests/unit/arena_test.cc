#include "daemon/store/arena.h"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

namespace kiln::store {
namespace {

constexpr uint64_t kPage = 4096;

TEST_CASE("an arena gives whole pages and takes them back") {
  Arena arena(16 * kPage);
  std::optional<core::Slice> slice = arena.Allocate(kPage + 1);
  REQUIRE(slice);
  CHECK(slice->size_bytes == kPage + 1);
  CHECK(arena.used_bytes() == 2 * kPage);
  arena.Free(*slice);
  CHECK(arena.used_bytes() == 0);
  CHECK(arena.largest_free_bytes() == 16 * kPage);
}

TEST_CASE("an empty object takes a page, so that slices differ") {
  Arena arena(2 * kPage);
  std::optional<core::Slice> a = arena.Allocate(0), b = arena.Allocate(0);
  REQUIRE(a);
  REQUIRE(b);
  CHECK(a->offset_bytes != b->offset_bytes);
  CHECK_FALSE(arena.Allocate(0));
}

TEST_CASE("an arena refuses what does not fit, whatever the number") {
  Arena arena(4 * kPage);
  CHECK_FALSE(arena.Allocate(4 * kPage + 1));
  CHECK_FALSE(arena.Allocate(UINT64_MAX));
  CHECK_FALSE(arena.Allocate(UINT64_MAX - kPage + 2));
  CHECK(arena.Allocate(4 * kPage));
}

TEST_CASE("the smallest extent that fits is taken, and memory used before comes first") {
  Arena arena(64 * kPage);
  core::Slice large = *arena.Allocate(8 * kPage);
  core::Slice between = *arena.Allocate(kPage);
  core::Slice small = *arena.Allocate(2 * kPage);
  core::Slice last = *arena.Allocate(kPage);
  arena.Free(large);
  arena.Free(small);
  CHECK(arena.Allocate(2 * kPage)->offset_bytes == small.offset_bytes);
  CHECK(arena.Allocate(3 * kPage)->offset_bytes == large.offset_bytes);
  CHECK(between.offset_bytes < last.offset_bytes);
}

TEST_CASE("memory that was used before comes before untouched memory that fits better") {
  Arena arena(16 * kPage);
  core::Slice used = *arena.Allocate(8 * kPage);
  core::Slice last = *arena.Allocate(kPage);
  CHECK(arena.high_water_bytes() == 9 * kPage);
  arena.Free(used);
  // Seven pages are left untouched, eight were used.
  CHECK(arena.Allocate(5 * kPage)->offset_bytes == used.offset_bytes);
  CHECK(arena.high_water_bytes() == 9 * kPage);
  CHECK(arena.Allocate(4 * kPage)->offset_bytes == last.offset_bytes + kPage);
  CHECK(arena.high_water_bytes() == 13 * kPage);
  CHECK(arena.CheckInvariants() == "");
}

TEST_CASE("what is freed at the end of the used memory is used again first") {
  Arena arena(64 * kPage);
  core::Slice kept = *arena.Allocate(kPage);
  for (int i = 0; i < 5; ++i) {
    core::Slice slice = *arena.Allocate(10 * kPage);
    CHECK(slice.offset_bytes == kept.offset_bytes + kPage);
    arena.Free(slice);
  }
  CHECK(arena.high_water_bytes() == 11 * kPage);
}

TEST_CASE("large objects are aligned while they fit so, small ones fill the gaps") {
  constexpr uint64_t kBlock = 8 * kPage, kLarge = Arena::kLargeBlocks * kBlock;
  Arena arena(3 * kLarge, kBlock);
  core::Slice small = *arena.Allocate(kPage);
  core::Slice large = *arena.Allocate(kLarge + 1);
  CHECK(small.offset_bytes == 0);
  CHECK(large.offset_bytes == kBlock);
  CHECK(arena.Allocate(7 * kPage)->offset_bytes == kPage);
  CHECK(arena.Allocate(kLarge - kPage)->offset_bytes == kBlock + kLarge + kPage);
  // Behind them lies no aligned place for as much as there is.
  core::Slice rest = *arena.Allocate(arena.largest_free_bytes());
  CHECK(rest.offset_bytes == kBlock + 2 * kLarge);
  CHECK(arena.used_bytes() == arena.capacity_bytes());
  CHECK(arena.CheckInvariants() == "");
}

TEST_CASE("a large object finds its aligned place behind many extents that cannot be aligned") {
  constexpr uint64_t kBlock = 8 * kPage, kLarge = Arena::kLargeBlocks * kBlock;
  Arena arena(1024 * kLarge, kBlock);
  std::vector<core::Slice> holes;
  (void)arena.Allocate(kPage);
  for (int i = 0; i < 100; ++i) {  // holes of a large object each, none of them aligned
    for (int page = 0; page < 64; ++page) holes.push_back(*arena.Allocate(kPage));
    for (int page = 0; page < 8; ++page) (void)arena.Allocate(kPage);
  }
  uint64_t untouched = arena.high_water_bytes();
  for (core::Slice hole : holes) arena.Free(hole);
  core::Slice large = *arena.Allocate(kLarge);
  CHECK(large.offset_bytes % kBlock == 0);
  CHECK(large.offset_bytes >= untouched);
  CHECK(arena.Allocate(kLarge - kPage)->offset_bytes < untouched);
}

TEST_CASE("neighbouring extents become one again in every order of freeing") {
  for (std::vector<size_t> order :
       {std::vector<size_t>{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}}) {
    Arena arena(3 * kPage);
    std::vector<core::Slice> slices;
    for (int i = 0; i < 3; ++i) slices.push_back(*arena.Allocate(kPage));
    for (size_t index : order) arena.Free(slices[index]);
    CHECK(arena.largest_free_bytes() == 3 * kPage);
    CHECK(arena.CheckInvariants() == "");
  }
}

TEST_CASE("after any sequence of allocations nothing overlaps and all comes back") {
  std::mt19937_64 random(20261120);
  Arena arena(1000 * kPage, GENERATE(1, 16) * kPage);
  std::vector<core::Slice> held;
  for (int step = 0; step < 20'000; ++step) {
    if (held.empty() || random() % 100 < 55) {
      if (auto slice = arena.Allocate(random() % (40 * kPage))) held.push_back(*slice);
    } else {
      size_t index = random() % held.size();
      arena.Free(held[index]);
      held[index] = held.back();
      held.pop_back();
    }
    if (step % 500 == 0) REQUIRE(arena.CheckInvariants() == "");
  }
  std::vector<bool> taken(1000, false);
  for (const core::Slice& slice : held) {
    uint64_t pages = std::max<uint64_t>((slice.size_bytes + kPage - 1) / kPage, 1);
    for (uint64_t i = 0; i < pages; ++i) {
      REQUIRE_FALSE(taken[slice.offset_bytes / kPage + i]);
      taken[slice.offset_bytes / kPage + i] = true;
    }
  }
  for (const core::Slice& slice : held) arena.Free(slice);
  CHECK(arena.used_bytes() == 0);
  CHECK(arena.largest_free_bytes() == 1000 * kPage);
  CHECK(arena.CheckInvariants() == "");
}

}  // namespace
}  // namespace kiln::store
