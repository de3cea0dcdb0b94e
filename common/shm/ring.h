// A byte ring in shared memory: one process writes records, another one reads them.
//
// The two positions are counts of bytes since the beginning; `tail` belongs to the writer, `head`
// to the reader. A record becomes readable by one release store of `tail`: a writer killed before
// it leaves nothing, after it a whole record. No lock, nobody waits here.
//
// What the other side wrote is not trusted. The reader copies a record before it is looked at and
// checks every length; the writer checks the reader's position. A side that lies breaks its own
// ring.
//
// Thread: one writer, one reader.
// See:    docs/wire.md, "Rings", for the layout byte by byte.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace kiln::shm {

// Bytes of one ring, a power of two: room for some thousand small frames, and what a session costs
// in memory, twice. More made nothing faster. A longer frame goes in parts.
inline constexpr uint64_t kRingBytes = uint64_t{256} << 10;
// Bytes of one record. A quarter, for a record never wraps: what is left at the end is skipped.
inline constexpr uint64_t kMaxRecordBytes = kRingBytes / 4;
// Records begin at multiples of this, so that a header never wraps.
inline constexpr uint64_t kRecordAlignment = 8;

enum class RecordKind : uint32_t {
  kLast = 0,  // a frame, or the last part of one
  kPart = 1,  // more of this frame follows
  kSkip = 2,  // nothing up to the end of the ring
};

struct RecordHeader {
  uint32_t size_bytes;  // of what follows, without padding
  RecordKind kind;
};
static_assert(sizeof(RecordHeader) == kRecordAlignment, "read by other languages: docs/wire.md");

// A position, alone in its cache line: the other side's writes must not slow down this side's.
struct alignas(64) RingPosition {
  std::atomic<uint64_t> bytes;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free, "a lock would be one in shared memory");

class RingWriter {
 public:
  // All three lie in the shared memory; `data` has kRingBytes.
  RingWriter(std::byte* data, RingPosition* tail, const RingPosition* head)
      : data_(data), shared_tail_(tail), shared_head_(head) {}

  // Room for one record of this size, to be filled and then committed.
  // Requires: size_bytes <= kMaxRecordBytes; nothing is reserved yet.
  // Returns:  null while there is none; also for ever if the reader lies about its position.
  std::byte* Reserve(uint64_t size_bytes);
  // Ends the record that was reserved; it may be shorter. Not yet readable.
  void Commit(uint64_t size_bytes, RecordKind kind);
  // Makes all that was committed readable. Returns: true if there was anything.
  bool Publish();
  // True if the reader has read all that was published.
  bool drained() const;

 private:
  bool HasRoom(uint64_t total_bytes);

  std::byte* const data_;
  RingPosition* const shared_tail_;
  const RingPosition* const shared_head_;
  uint64_t tail_ = 0;       // with what is committed and not published
  uint64_t published_ = 0;  // what the reader sees
  uint64_t head_ = 0;       // as last seen
};

class RingReader {
 public:
  RingReader(const std::byte* data, const RingPosition* tail, RingPosition* head)
      : data_(data), shared_tail_(tail), shared_head_(head) {}

  enum class Outcome {
    kFrame,   // `frame` is one
    kEmpty,   // nothing more is there
    kBroken,  // the writer lies; nothing is read from now on
  };
  // Reads the next frame into `frame`, put together from its parts. What was read is to be given
  // back with Release, after kEmpty too: the rest of a long frame may need the room. Between two
  // calls of Release no more is read than the ring holds, however fast the writer writes.
  Outcome Read(std::string* frame, size_t max_frame_bytes);
  // Lets the writer use the room of what was read. Returns: true if there was anything.
  bool Release();
  // True if nothing more is readable; looks at the shared position.
  bool empty() const {
    return broken_ || shared_tail_->bytes.load(std::memory_order_acquire) == head_;
  }
  bool broken() const { return broken_; }

 private:
  Outcome Break() {
    broken_ = true;
    return Outcome::kBroken;
  }

  const std::byte* const data_;
  const RingPosition* const shared_tail_;
  RingPosition* const shared_head_;
  uint64_t tail_ = 0;      // as last seen, checked
  uint64_t head_ = 0;      // what was read
  uint64_t released_ = 0;  // what the writer knows of it
  std::string parts_;      // of a frame whose last part is not there yet
  bool broken_ = false;
};

}  // namespace kiln::shm
