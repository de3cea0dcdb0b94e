// Who gets which bytes of the segment: best fit in whole pages.
//
// The book-keeping lies in the head's own memory, not between the objects as in
// Boost.Interprocess's allocators: an object's creator may write to all of its pages, and must not
// be able to reach the head's notes. See D6 in docs/decisions.md.
//
// Equal fits go to the lowest address, so memory that has been used, whose pages are there, is used
// again before untouched memory.
//
// Thread: head loop only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "daemon/core/value.h"

namespace kiln::store {

class Arena {
 public:
  // Requires: capacity is a multiple of shm::kPageBytes.
  explicit Arena(uint64_t capacity_bytes);

  // Returns: a page-aligned slice, nothing if no free extent is large enough.
  std::optional<core::Slice> Allocate(uint64_t size_bytes);
  // Requires: `slice` came from Allocate and was not freed since.
  void Free(core::Slice slice);

  uint64_t capacity_bytes() const { return capacity_bytes_; }
  // Whole pages taken.
  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t largest_free_bytes() const;

  // Returns: the first thing that does not hold between the tables; empty if all does. For tests.
  std::string CheckInvariants() const;

 private:
  void Insert(uint64_t offset, uint64_t size);
  void Erase(std::map<uint64_t, uint64_t>::iterator extent);

  const uint64_t capacity_bytes_;
  uint64_t used_bytes_ = 0;
  std::map<uint64_t, uint64_t> free_;                // offset -> size; disjoint, never touching
  std::set<std::pair<uint64_t, uint64_t>> by_size_;  // (size, offset) of the same extents
};

}  // namespace kiln::store
