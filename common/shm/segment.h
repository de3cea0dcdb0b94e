// The store segment: one anonymous memory file, mapped once by each process.
//
// Everybody maps all of it read-only. The creator of an object makes its pages writable while it
// writes (BeginWrite) and read-only again before it seals (EndWrite): a later store faults in the
// writer, by the MMU. The mapping stays, so recycled pages cost neither faults nor page tables:
// changing the protection of 1 GB takes 1 to 3 ms, mapping it anew 255 ms.
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
#include "common/status.h"

namespace kiln::shm {

inline constexpr size_t kPageBytes = 4096;  // granularity of protection, so of objects

class Segment {
 public:
  // Makes a memory file of this size; its pages are taken when they are first written.
  // Errors: ResourceExhausted (the system refuses the size).
  static Result<std::unique_ptr<Segment>> Create(uint64_t size_bytes);
  // Maps a segment made by another process; takes over `fd`.
  // Errors: InvalidArgument (not a memory file of this size), ResourceExhausted (no address space).
  static Result<std::unique_ptr<Segment>> Attach(int fd, uint64_t size_bytes);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  int fd() const { return fd_; }
  uint64_t size_bytes() const { return size_bytes_; }
  const std::byte* data() const { return base_; }

  // True if the range lies inside the segment.
  bool Contains(uint64_t offset_bytes, uint64_t size_bytes) const {
    return offset_bytes <= size_bytes_ && size_bytes <= size_bytes_ - offset_bytes;
  }

  // Reserves the pages of the range, so that no later access can fail, and makes them writable.
  // Requires: offset is a multiple of kPageBytes, the range lies inside.
  // Returns: where to write.
  // Errors:  ResourceExhausted (the machine has no memory left): the range stays read-only.
  Result<std::byte*> BeginWrite(uint64_t offset_bytes, uint64_t size_bytes);
  // Makes the range read-only again.
  void EndWrite(uint64_t offset_bytes, uint64_t size_bytes);

 private:
  struct Mapping;  // Boost.Interprocess's
  Segment(int fd, uint64_t size_bytes, std::unique_ptr<Mapping> mapping);
  static Result<std::unique_ptr<Segment>> Map(int fd, uint64_t size_bytes);
  Status Reserve(uint64_t offset_bytes, uint64_t size_bytes);

  const int fd_;
  const uint64_t size_bytes_;
  const std::unique_ptr<Mapping> mapping_;
  std::byte* const base_;
  Guarded<IntervalSet> reserved_;  // ranges this process knows to have pages
};

}  // namespace kiln::shm
