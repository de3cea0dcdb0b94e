#include "daemon/store/arena.h"

#include <algorithm>

#include "common/check.h"
#include "common/shm/pages.h"

namespace kiln::store {
namespace {

uint64_t Pages(uint64_t size_bytes) {
  uint64_t pages = size_bytes / shm::kPageBytes + (size_bytes % shm::kPageBytes != 0);
  return std::max<uint64_t>(pages, 1) * shm::kPageBytes;
}

uint64_t AlignUp(uint64_t offset, uint64_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

// True if `wanted` bytes fit into an extent at this alignment.
bool Fits(std::pair<const uint64_t, uint64_t> extent, uint64_t wanted, uint64_t alignment) {
  uint64_t gap = AlignUp(extent.first, alignment) - extent.first;
  return gap <= extent.second && wanted <= extent.second - gap;
}

// Best fits looked at for one that can be aligned, before one is taken that is sure to.
constexpr int kFitsTried = 16;

}  // namespace

Arena::Arena(uint64_t capacity_bytes, uint64_t alignment_bytes)
    : capacity_bytes_(capacity_bytes), alignment_bytes_(alignment_bytes) {
  Insert(0, capacity_bytes);
}

void Arena::Insert(uint64_t offset, uint64_t size) {
  auto extent = free_.emplace(offset, size).first;
  if (!IsTail(extent)) by_size_.emplace(size, offset);
}

void Arena::Erase(Extents::iterator extent) {
  by_size_.erase({extent->second, extent->first});
  free_.erase(extent);
}

Arena::Extents::iterator Arena::FindFit(uint64_t wanted, uint64_t alignment) {
  auto fit = by_size_.lower_bound({wanted, 0});
  for (int tried = 0; fit != by_size_.end() && tried < kFitsTried; ++fit, ++tried) {
    auto extent = free_.find(fit->second);
    if (Fits(*extent, wanted, alignment)) return extent;
  }
  fit = by_size_.lower_bound({wanted + alignment - shm::kPageBytes, 0});
  if (fit != by_size_.end()) return free_.find(fit->second);
  if (free_.empty()) return free_.end();
  auto last = std::prev(free_.end());
  return IsTail(last) && Fits(*last, wanted, alignment) ? last : free_.end();
}

std::optional<core::Slice> Arena::Allocate(uint64_t size_bytes) {
  if (size_bytes > capacity_bytes_) return std::nullopt;
  uint64_t wanted = Pages(size_bytes);
  uint64_t alignment =
      wanted / kLargeBlocks >= alignment_bytes_ ? alignment_bytes_ : shm::kPageBytes;
  auto fit = FindFit(wanted, alignment);
  if (fit == free_.end() && alignment > shm::kPageBytes) {
    alignment = shm::kPageBytes;
    fit = FindFit(wanted, alignment);
  }
  if (fit == free_.end()) return std::nullopt;
  auto [begin, size] = *fit;
  uint64_t offset = AlignUp(begin, alignment), end = begin + size;
  Erase(fit);
  if (offset > begin) Insert(begin, offset - begin);
  if (end > offset + wanted) Insert(offset + wanted, end - offset - wanted);
  used_bytes_ += wanted;
  high_water_bytes_ = std::max(high_water_bytes_, offset + wanted);
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
  uint64_t largest = by_size_.empty() ? 0 : by_size_.rbegin()->first;
  if (!free_.empty() && IsTail(std::prev(free_.end()))) {
    largest = std::max(largest, free_.rbegin()->second);
  }
  return largest;
}

std::string Arena::CheckInvariants() const {
  uint64_t free_bytes = 0, end = 0;
  size_t sized = 0;
  for (auto extent = free_.begin(); extent != free_.end(); ++extent) {
    auto [offset, size] = *extent;
    if (by_size_.contains({size, offset}) == IsTail(extent)) {
      return "an extent is missing from the table by size, or the tail is in it";
    }
    sized += !IsTail(extent);
    if (extent != free_.begin() && offset <= end) return "free extents touch or overlap";
    end = offset + size;
    free_bytes += size;
  }
  if (sized != by_size_.size()) return "the two tables of free extents differ in size";
  if (end > capacity_bytes_) return "a free extent lies outside";
  if (high_water_bytes_ < capacity_bytes_ && end != capacity_bytes_) {
    return "what was never given out is not free";
  }
  if (free_bytes + used_bytes_ != capacity_bytes_) return "used and free do not add up";
  return "";
}

}  // namespace kiln::store
