// The store segment: one anonymous memory file, mapped once by each process.
//
// Everybody maps all of it read-only. The creator of an object makes its pages writable while it
// writes (BeginWrite) and read-only again before it seals (EndWrite): a later store faults in the
// writer, by the MMU. The mapping stays, so recycled pages cost neither faults nor page tables:
// changing the protection of 1 GB takes 8 ms (0.04 with huge pages), mapping it anew 255 ms.
//
// Thread: BeginWrite and EndWrite from any thread, for ranges that do not overlap.
// Owner:  the head's Store, a peer's session.
// See:    docs/object-store.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/guarded.h"
#include "common/shm/interval_set.h"
#include "common/shm/pages.h"
#include "common/status.h"

namespace kiln::shm {

class Segment {
 public:
  // Makes a memory file of this size; its pages are taken when they are first written, but for one
  // huge page, which shows that there are any.
  // Errors: ResourceExhausted (the system refuses the size; no huge page is free),
  //         FailedPrecondition (no huge pages here).
  static Result<std::unique_ptr<Segment>> Create(uint64_t size_bytes,
                                                 PageKind pages = PageKind::k4k);
  // Maps a segment made by another process; takes over `fd`. `ticket`: the maker's.
  // Errors: InvalidArgument (not the memory file told of), ResourceExhausted (no address space).
  static Result<std::unique_ptr<Segment>> Attach(int fd, uint64_t ticket);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  int fd() const { return fd_; }
  uint64_t size_bytes() const { return size_bytes_; }
  PageKind pages() const { return pages_; }
  const std::byte* data() const { return base_; }
  // What another process must be told to attach: the size, which is a multiple of kPageBytes, with
  // the kind of pages in its lowest bit.
  uint64_t ticket() const { return size_bytes_ | static_cast<uint64_t>(pages_); }

  // True if the range lies inside the segment.
  bool Contains(uint64_t offset_bytes, uint64_t size_bytes) const {
    return offset_bytes <= size_bytes_ && size_bytes <= size_bytes_ - offset_bytes;
  }

  // Reserves the pages of the range, so that no later access can fail, maps them, and makes them
  // writable. Several threads do it for large ranges, while cores are free.
  // Requires: offset is a multiple of kPageBytes, the range lies inside.
  // Returns: where to write.
  // Errors:  ResourceExhausted (the machine has no memory left): the range stays read-only.
  Result<std::byte*> BeginWrite(uint64_t offset_bytes, uint64_t size_bytes);
  // Makes the range read-only again.
  void EndWrite(uint64_t offset_bytes, uint64_t size_bytes);

  // Takes the pages of a range, written or not, for whoever will write to it; none stays in this
  // process's page tables.
  // Requires: begin and end are multiples of kPageBytes, the range lies inside.
  // Errors:  ResourceExhausted (the machine has no memory left).
  Status Prefault(uint64_t begin, uint64_t end);

 private:
  struct Mapping;
  Segment(int fd, uint64_t size_bytes, PageKind pages, std::unique_ptr<Mapping> mapping);
  static Result<std::unique_ptr<Segment>> Map(int fd, uint64_t size_bytes, PageKind pages);
  MappedRange Range(uint64_t begin, uint64_t end) const {
    return {fd_, begin, base_ + begin, end - begin};
  }
  Status TakeHuge(uint64_t begin, uint64_t end) const;
  Status MakeWritable(uint64_t begin, uint64_t end);

  const int fd_;
  const uint64_t size_bytes_;
  const PageKind pages_;
  const std::unique_ptr<Mapping> mapping_;
  std::byte* const base_;
  Guarded<IntervalSet> reserved_;  // ranges this process has mapped, with pages
};

}  // namespace kiln::shm
