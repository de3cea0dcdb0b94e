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
  Arena arena(1000 * kPage);
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
