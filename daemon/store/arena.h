// Who gets which bytes of the segment: best fit in whole pages.
//
// The book-keeping lies in the head's own memory, not between the objects as in
// Boost.Interprocess's allocators: an object's creator may write to all of its pages, and must not
// be able to reach the head's notes. See D6 in docs/decisions.md.
//
// Memory that was used, whose pages are there, is used again first: the extent that ends the
// segment (the tail) is taken from only when no other fits, and from its lowest address. So all
// below the highest address ever given out is warm, but for the gaps that alignment leaves. Equal
// fits go to the lowest address.
//
// Large objects, of kLargeBlocks times `alignment_bytes` and more, begin at a multiple of it if
// such a place is found: changing the protection of whole huge pages keeps them mapped as such.
// Aligning smaller ones would waste too much; this wastes an eighth at most, which small ones fill.
//
// Thread: head loop only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "common/shm/pages.h"
#include "daemon/core/value.h"

namespace kiln::store {

class Arena {
 public:
  static constexpr uint64_t kLargeBlocks = 8;

  // Requires: both are multiples of shm::kPageBytes, the alignment is a power of two.
  explicit Arena(uint64_t capacity_bytes, uint64_t alignment_bytes = shm::kPageBytes);

  // Returns: a page-aligned slice, nothing if no free extent is large enough.
  std::optional<core::Slice> Allocate(uint64_t size_bytes);
  // Requires: `slice` came from Allocate and was not freed since.
  void Free(core::Slice slice);

  uint64_t capacity_bytes() const { return capacity_bytes_; }
  // Whole pages taken.
  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t largest_free_bytes() const;
  // Below it lies all that was ever given out.
  uint64_t high_water_bytes() const { return high_water_bytes_; }

  // Returns: the first thing that does not hold between the tables; empty if all does. For tests.
  std::string CheckInvariants() const;

 private:
  using Extents = std::map<uint64_t, uint64_t>;  // offset -> size
  void Insert(uint64_t offset, uint64_t size);
  void Erase(Extents::iterator extent);
  bool IsTail(Extents::const_iterator extent) const {
    return extent->first + extent->second == capacity_bytes_;
  }
  // Returns: where `wanted` bytes fit best at this alignment; free_.end() if nowhere.
  Extents::iterator FindFit(uint64_t wanted, uint64_t alignment);

  const uint64_t capacity_bytes_;
  const uint64_t alignment_bytes_;
  uint64_t used_bytes_ = 0;
  uint64_t high_water_bytes_ = 0;
  Extents free_;                                     // disjoint, never touching
  std::set<std::pair<uint64_t, uint64_t>> by_size_;  // (size, offset) of those but the tail
};

}  // namespace kiln::store
