// Records by id, for millions of them: stable addresses, no allocation per record, no long pause.
//
// Records lie in chunks of 256. Peers number their tasks and objects one after the other, so the
// index is by pages of 64 ids in a row: 4 bytes for each, found by a hash of the page's number, and
// neighbours share cache lines. A table of a million hashes 16,000 pages, so growing it takes a
// tenth of a millisecond. A chunk or page that is empty is given back, whatever else is there.
//
// Thread: one at a time.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "common/check.h"

namespace kiln {

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
    const Page* page = FindPage(id / kPageIds);
    if (page == nullptr) return nullptr;
    const uint32_t number = page->numbers[id % kPageIds];
    return number == 0 ? nullptr : &At(number);
  }

  // Requires: there is none with this id.
  // Returns:  a new record with its id set; its address stays until it is erased.
  Record& Insert(uint64_t id) {
    auto [record, fresh] = TryInsert(id);
    Require(fresh, "a record's id is there already");
    return *record;
  }
  // Returns: the record with this id, and whether it is new.
  std::pair<Record*, bool> TryInsert(uint64_t id) {
    Page& page = PageOf(id / kPageIds);
    uint32_t& number = page.numbers[id % kPageIds];
    if (number != 0) return {&At(number), false};
    number = TakeCell();
    ++page.live;
    ++size_;
    Record* record = new (chunks_[(number - 1) / kChunkRecords]->cells[CellOf(number)]) Record();
    record->id = id;
    return {record, true};
  }

  // Requires: the record is in this table.
  void Erase(Record& record) {
    const uint64_t id = record.id;
    Page* page = FindPage(id / kPageIds);
    Require(page != nullptr && page->numbers[id % kPageIds] != 0, "record to erase is not there");
    const uint32_t number = std::exchange(page->numbers[id % kPageIds], 0);
    record.~Record();
    GiveCell(number);
    --size_;
    if (--page->live == 0) ErasePage(id / kPageIds);
  }

  void Clear() {
    ForEach([](Record& record) { record.~Record(); });
    pages_ = decltype(pages_)();
    last_page_ = nullptr;
    page_count_ = 0;
    chunks_ = decltype(chunks_)();
    chunk_count_ = 0;
    free_places_ = decltype(free_places_)();
    spare_ = nullptr;
    first_open_ = nullptr;
    size_ = 0;
  }

  // visit(record) in no particular order; it must not change the table.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const PageSlot& slot : pages_) {
      if (!slot.page) continue;
      for (uint32_t number : slot.page->numbers) {
        if (number != 0) visit(At(number));
      }
    }
  }

  // Memory it takes from the allocator, without what records own.
  size_t HeapBytes() const {
    return chunk_count_ * sizeof(Chunk) + chunks_.capacity() * sizeof(chunks_[0]) +
           free_places_.capacity() * sizeof(uint32_t) + page_count_ * sizeof(Page) +
           pages_.capacity() * sizeof(PageSlot);
  }

 private:
  static constexpr uint32_t kChunkRecords = 256;
  static constexpr uint64_t kPageIds = 64;

  // A cell holds a record or, while free, the place of the next free one of its chunk.
  struct FreeCell {
    uint32_t next;
  };
  struct Chunk {
    Chunk* previous_open = nullptr;  // list of those with free cells
    Chunk* next_open = nullptr;
    uint32_t number = 0;                  // index in chunks_
    uint32_t live = 0;                    // records in it
    uint32_t untouched = 0;               // cells from here on were never used
    uint32_t first_free = kChunkRecords;  // list of freed cells before that
    alignas(Record) std::byte cells[kChunkRecords][sizeof(Record)];
  };
  static_assert(sizeof(Record) >= sizeof(FreeCell) && alignof(Record) >= alignof(FreeCell));

  struct Page {
    uint32_t numbers[kPageIds] = {};  // of cells, from 1; 0: no record
    uint32_t live = 0;
  };
  struct PageSlot {
    uint64_t key = 0;
    std::unique_ptr<Page> page;  // null: an empty place
  };

  // --- cells: chunk index and place in it, counted from 1 together -------------------------------
  static uint32_t CellOf(uint32_t number) { return (number - 1) % kChunkRecords; }
  Record& At(uint32_t number) const {
    return *std::launder(
        reinterpret_cast<Record*>(chunks_[(number - 1) / kChunkRecords]->cells[CellOf(number)]));
  }

  uint32_t TakeCell() {
    if (first_open_ == nullptr) AddChunk();
    Chunk& chunk = *first_open_;
    uint32_t cell = chunk.first_free;
    if (cell != kChunkRecords) {
      chunk.first_free = std::launder(reinterpret_cast<FreeCell*>(chunk.cells[cell]))->next;
    } else {
      cell = chunk.untouched++;
    }
    if (++chunk.live == kChunkRecords) Close(chunk);
    return chunk.number * kChunkRecords + cell + 1;
  }

  void GiveCell(uint32_t number) {
    Chunk& chunk = *chunks_[(number - 1) / kChunkRecords];
    new (chunk.cells[CellOf(number)]) FreeCell{chunk.first_free};
    chunk.first_free = CellOf(number);
    if (chunk.live-- == kChunkRecords) Open(chunk);
    if (chunk.live == 0) RemoveChunk(chunk);
  }

  void Open(Chunk& chunk) {
    chunk.previous_open = nullptr;
    chunk.next_open = first_open_;
    if (first_open_) first_open_->previous_open = &chunk;
    first_open_ = &chunk;
  }
  void Close(Chunk& chunk) {
    (chunk.previous_open ? chunk.previous_open->next_open : first_open_) = chunk.next_open;
    if (chunk.next_open) chunk.next_open->previous_open = chunk.previous_open;
  }

  void AddChunk() {
    std::unique_ptr<Chunk> chunk = std::move(spare_);
    if (!chunk) {
      chunk.reset(new Chunk);  // not make_unique: that would clear the cells
      ++chunk_count_;
    }
    if (free_places_.empty()) {
      chunk->number = static_cast<uint32_t>(chunks_.size());
      chunks_.emplace_back();
    } else {
      chunk->number = free_places_.back();
      free_places_.pop_back();
    }
    chunk->untouched = 0;
    chunk->first_free = kChunkRecords;
    Open(*chunk);
    chunks_[chunk->number] = std::move(chunk);
  }

  // One empty chunk is kept, so that a table that is filled and emptied does not flutter.
  void RemoveChunk(Chunk& chunk) {
    Close(chunk);
    std::unique_ptr<Chunk> empty = std::move(chunks_[chunk.number]);
    free_places_.push_back(empty->number);
    if (spare_) --chunk_count_;
    spare_ = std::move(empty);
    if (chunk_count_ > 1) return;
    chunks_ = decltype(chunks_)();  // they are all gone
    free_places_ = decltype(free_places_)();
  }

  // --- pages: an open-addressed table, at most half full -----------------------------------------
  size_t Home(uint64_t key) const {
    return static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> shift_);  // 2^64 / golden ratio
  }

  Page* FindPage(uint64_t key) const {
    if (last_page_ != nullptr && last_key_ == key) return last_page_;
    if (pages_.empty()) return nullptr;
    for (size_t at = Home(key);; at = (at + 1) & (pages_.size() - 1)) {
      const PageSlot& slot = pages_[at];
      if (!slot.page) return nullptr;
      if (slot.key != key) continue;
      last_key_ = key;
      last_page_ = slot.page.get();
      return last_page_;
    }
  }

  Page& PageOf(uint64_t key) {
    if (Page* page = FindPage(key)) return *page;
    if ((page_count_ + 1) * 2 > pages_.size()) Rehash(pages_.empty() ? 4 : pages_.size() * 2);
    ++page_count_;
    return *Link(key, std::make_unique<Page>());
  }

  Page* Link(uint64_t key, std::unique_ptr<Page> page) {
    size_t at = Home(key);
    while (pages_[at].page) at = (at + 1) & (pages_.size() - 1);
    pages_[at].key = key;
    pages_[at].page = std::move(page);
    return pages_[at].page.get();
  }

  void ErasePage(uint64_t key) {
    const size_t mask = pages_.size() - 1;
    size_t gap = Home(key);
    while (pages_[gap].key != key || !pages_[gap].page) gap = (gap + 1) & mask;
    pages_[gap].page.reset();
    last_page_ = nullptr;
    --page_count_;
    // Closes the gap, so that no later page becomes unreachable.
    for (size_t at = (gap + 1) & mask; pages_[at].page; at = (at + 1) & mask) {
      if (((at - Home(pages_[at].key)) & mask) < ((at - gap) & mask)) continue;
      std::swap(pages_[gap], pages_[at]);
      gap = at;
    }
    if (pages_.size() > 64 && page_count_ * 16 < pages_.size()) Rehash(pages_.size() / 4);
  }

  void Rehash(size_t capacity) {
    std::vector<PageSlot> old = std::exchange(pages_, std::vector<PageSlot>(capacity));
    shift_ = 64 - std::countr_zero(capacity);
    for (PageSlot& slot : old) {
      if (slot.page) Link(slot.key, std::move(slot.page));
    }
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;  // null: given back
  std::vector<uint32_t> free_places_;           // of chunks_, the null ones
  std::unique_ptr<Chunk> spare_;
  Chunk* first_open_ = nullptr;
  size_t chunk_count_ = 0;  // the spare one included
  std::vector<PageSlot> pages_;
  size_t page_count_ = 0;
  int shift_ = 0;
  size_t size_ = 0;
  // The page found last: neighbours are mostly asked for one after the other.
  mutable uint64_t last_key_ = 0;
  mutable Page* last_page_ = nullptr;
};

}  // namespace kiln
