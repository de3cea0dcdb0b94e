// Records by id, for millions of them: stable addresses, no allocation per record.
//
// Records lie in chunks; an open-addressed index of 4-byte slots finds them. A record costs its own
// size and 5 to 11 bytes, against 40 and more in std::unordered_map.
//
// Thread: head loop only.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "common/check.h"

namespace kiln::core {

// Record: default constructible, with a member `uint64_t id`.
template <typename Record>
class IdTable {
 public:
  IdTable() = default;
  ~IdTable() { Clear(); }
  IdTable(const IdTable&) = delete;
  IdTable& operator=(const IdTable&) = delete;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Returns: null if there is none.
  Record* Find(uint64_t id) {
    return const_cast<Record*>(std::as_const(*this).Find(id));  // one body for both
  }
  const Record* Find(uint64_t id) const {
    if (index_.empty()) return nullptr;
    for (size_t at = Home(id);; at = (at + 1) & mask_) {
      if (index_[at] == 0) return nullptr;
      const Record& record = At(index_[at]);
      if (record.id == id) return &record;
    }
  }

  // Requires: there is none with this id.
  // Returns:  a new record with its id set; its address stays until it is erased.
  Record& Insert(uint64_t id) {
    if ((size_ + 1) * 4 > index_.size() * 3) Rehash(index_.empty() ? 16 : index_.size() * 2);
    if (free_.empty()) AddChunk();
    const uint32_t number = free_.back();
    free_.pop_back();
    Record* record = new (Place(number)) Record();
    record->id = id;
    ++size_;
    Link(number, id);
    return *record;
  }

  // Requires: the record is in this table.
  void Erase(Record& record) {
    const size_t at = Locate(record.id);
    const uint32_t number = index_[at];
    Unlink(at);
    record.~Record();
    free_.push_back(number);
    if (--size_ == 0) GiveBackMemory();
  }

  void Clear() {
    for (uint32_t number : index_) {
      if (number != 0) At(number).~Record();
    }
    chunks_ = decltype(chunks_)();
    free_ = decltype(free_)();
    index_ = decltype(index_)();
    size_ = 0;
  }

  // visit(record) in no particular order; it must not change the table.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (uint32_t number : index_) {
      if (number != 0) visit(At(number));
    }
  }

 private:
  static constexpr uint32_t kChunkRecords = 256;
  static constexpr size_t kChunksKept = 16;  // of an empty table, so that it does not flutter
  struct Cell {
    alignas(Record) std::byte bytes[sizeof(Record)];
  };

  // Numbers count from 1; 0 is an empty place of the index.
  void* Place(uint32_t number) const {
    return chunks_[(number - 1) / kChunkRecords][(number - 1) % kChunkRecords].bytes;
  }
  Record& At(uint32_t number) const { return *std::launder(static_cast<Record*>(Place(number))); }

  size_t Home(uint64_t id) const {
    return static_cast<size_t>((id * 0x9E3779B97F4A7C15u) >> shift_);  // 2^64 / golden ratio
  }

  size_t Locate(uint64_t id) const {
    Require(!index_.empty(), "record to erase is not in its table");
    for (size_t at = Home(id);; at = (at + 1) & mask_) {
      Require(index_[at] != 0, "record to erase is not in its table");
      if (At(index_[at]).id == id) return at;
    }
  }

  void Link(uint32_t number, uint64_t id) {
    size_t at = Home(id);
    while (index_[at] != 0) at = (at + 1) & mask_;
    index_[at] = number;
  }

  // Closes the gap, so that no later record becomes unreachable.
  void Unlink(size_t gap) {
    for (size_t at = (gap + 1) & mask_; index_[at] != 0; at = (at + 1) & mask_) {
      const size_t home = Home(At(index_[at]).id);
      if (((at - home) & mask_) >= ((at - gap) & mask_)) {
        index_[gap] = index_[at];
        gap = at;
      }
    }
    index_[gap] = 0;
  }

  void Rehash(size_t capacity) {
    std::vector<uint32_t> old = std::exchange(index_, std::vector<uint32_t>(capacity, 0));
    mask_ = capacity - 1;
    shift_ = 64 - std::countr_zero(capacity);
    for (uint32_t number : old) {
      if (number != 0) Link(number, At(number).id);
    }
  }

  void AddChunk() {
    chunks_.push_back(std::make_unique_for_overwrite<Cell[]>(kChunkRecords));
    const auto last = static_cast<uint32_t>(chunks_.size() * kChunkRecords);
    for (uint32_t i = 0; i < kChunkRecords; ++i) free_.push_back(last - i);
  }

  // A queue that was once a million long must not cost its memory for ever.
  void GiveBackMemory() {
    if (chunks_.size() > kChunksKept) Clear();
  }

  std::vector<std::unique_ptr<Cell[]>> chunks_;
  std::vector<uint32_t> free_;   // numbers of unused cells
  std::vector<uint32_t> index_;  // numbers by hash of id; its size is 0 or a power of two
  size_t mask_ = 0;
  int shift_ = 0;
  size_t size_ = 0;
};

}  // namespace kiln::core
