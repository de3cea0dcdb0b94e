#include "daemon/store/arena.h"

#include <algorithm>

#include "common/check.h"
#include "common/shm/segment.h"

namespace kiln::store {
namespace {

uint64_t Pages(uint64_t size_bytes) {
  uint64_t pages = size_bytes / shm::kPageBytes + (size_bytes % shm::kPageBytes != 0);
  return std::max<uint64_t>(pages, 1) * shm::kPageBytes;
}

}  // namespace

Arena::Arena(uint64_t capacity_bytes) : capacity_bytes_(capacity_bytes) {
  Insert(0, capacity_bytes);
}

void Arena::Insert(uint64_t offset, uint64_t size) {
  free_.emplace(offset, size);
  by_size_.emplace(size, offset);
}

void Arena::Erase(std::map<uint64_t, uint64_t>::iterator extent) {
  by_size_.erase({extent->second, extent->first});
  free_.erase(extent);
}

std::optional<core::Slice> Arena::Allocate(uint64_t size_bytes) {
  if (size_bytes > capacity_bytes_) return std::nullopt;
  uint64_t wanted = Pages(size_bytes);
  auto fit = by_size_.lower_bound({wanted, 0});
  if (fit == by_size_.end()) return std::nullopt;
  auto [size, offset] = *fit;
  Erase(free_.find(offset));
  if (size > wanted) Insert(offset + wanted, size - wanted);
  used_bytes_ += wanted;
  return core::Slice{offset, size_bytes};
}

void Arena::Free(core::Slice slice) {
  uint64_t offset = slice.offset_bytes;
  uint64_t size = Pages(slice.size_bytes);
  auto next = free_.lower_bound(offset);
  Require(size <= used_bytes_ && (next == free_.end() || offset + size <= next->first),
          "a slice is freed that overlaps what is free");
  used_bytes_ -= size;
  if (next != free_.end() && next->first == offset + size) {
    size += next->second;
    auto following = std::next(next);
    Erase(next);
    next = following;
  }
  if (next != free_.begin()) {
    auto before = std::prev(next);
    Require(before->first + before->second <= offset, "a slice is freed twice");
    if (before->first + before->second == offset) {
      offset = before->first;
      size += before->second;
      Erase(before);
    }
  }
  Insert(offset, size);
}

uint64_t Arena::largest_free_bytes() const {
  return by_size_.empty() ? 0 : by_size_.rbegin()->first;
}

std::string Arena::CheckInvariants() const {
  if (free_.size() != by_size_.size()) return "the two tables of free extents differ in size";
  uint64_t free_bytes = 0, end = 0;
  bool first = true;
  for (auto [offset, size] : free_) {
    if (!by_size_.contains({size, offset})) return "an extent is missing from the table by size";
    if (!first && offset <= end) return "free extents touch or overlap";
    first = false;
    end = offset + size;
    free_bytes += size;
  }
  if (end > capacity_bytes_) return "a free extent lies outside";
  if (free_bytes + used_bytes_ != capacity_bytes_) return "used and free do not add up";
  return "";
}

}  // namespace kiln::store
