#include "common/shm/ring.h"

#include <bit>
#include <cstring>

namespace kiln::shm {
namespace {

constexpr uint64_t kMask = kRingBytes - 1;
static_assert((kRingBytes & kMask) == 0, "positions are reduced with a mask");

constexpr uint64_t TotalBytes(uint64_t size_bytes) {
  return sizeof(RecordHeader) + ((size_bytes + kRecordAlignment - 1) & ~(kRecordAlignment - 1));
}

}  // namespace

bool RingWriter::HasRoom(uint64_t total_bytes) {
  if (tail_ - head_ + total_bytes <= kRingBytes) return true;
  const uint64_t head = shared_head_->bytes.load(std::memory_order_acquire);
  // Only what lies between the last position and ours can be true.
  if (head - head_ > published_ - head_) return false;
  head_ = head;
  return tail_ - head_ + total_bytes <= kRingBytes;
}

std::byte* RingWriter::Reserve(uint64_t size_bytes) {
  const uint64_t total = TotalBytes(size_bytes);
  const uint64_t to_end = kRingBytes - (tail_ & kMask);
  if (total > to_end) {
    if (!HasRoom(to_end + total)) return nullptr;
    const RecordHeader skip{static_cast<uint32_t>(to_end - sizeof(RecordHeader)),
                            RecordKind::kSkip};
    std::memcpy(data_ + (tail_ & kMask), &skip, sizeof skip);
    tail_ += to_end;
  } else if (!HasRoom(total)) {
    return nullptr;
  }
  return data_ + (tail_ & kMask) + sizeof(RecordHeader);
}

void RingWriter::Commit(uint64_t size_bytes, RecordKind kind) {
  const RecordHeader header{static_cast<uint32_t>(size_bytes), kind};
  std::memcpy(data_ + (tail_ & kMask), &header, sizeof header);
  tail_ += TotalBytes(size_bytes);
}

bool RingWriter::Publish() {
  if (published_ == tail_) return false;
  published_ = tail_;
  shared_tail_->bytes.store(tail_, std::memory_order_release);
  return true;
}

bool RingWriter::drained() const {
  return shared_head_->bytes.load(std::memory_order_acquire) == published_;
}

RingReader::Outcome RingReader::Read(std::string* frame, size_t max_frame_bytes) {
  while (true) {
    if (broken_) return Outcome::kBroken;
    if (head_ == tail_) {
      const uint64_t tail = shared_tail_->bytes.load(std::memory_order_acquire);
      if (tail - released_ > kRingBytes || tail - released_ < head_ - released_ ||
          tail % kRecordAlignment != 0) {
        return Break();
      }
      tail_ = tail;
      if (head_ == tail_) return Outcome::kEmpty;
    }
    const uint64_t at = head_ & kMask;
    // One load, which no compiler repeats: what was checked is what is used.
    const auto header = std::bit_cast<RecordHeader>(
        __atomic_load_n(reinterpret_cast<const uint64_t*>(data_ + at), __ATOMIC_RELAXED));
    const uint64_t total = TotalBytes(header.size_bytes);
    if (total > tail_ - head_ || total > kRingBytes - at) return Break();
    head_ += total;
    if (header.kind == RecordKind::kSkip) continue;
    if (header.kind > RecordKind::kSkip || header.size_bytes > kMaxRecordBytes ||
        parts_.size() + header.size_bytes > max_frame_bytes) {
      return Break();
    }
    const char* bytes = reinterpret_cast<const char*>(data_ + at + sizeof header);
    if (header.kind == RecordKind::kLast && parts_.empty()) {
      // A long one's memory is not kept; an assignment would keep it.
      if (frame->capacity() > 2 * kMaxRecordBytes) std::string().swap(*frame);
      frame->assign(bytes, header.size_bytes);
      return Outcome::kFrame;
    }
    parts_.append(bytes, header.size_bytes);
    if (header.kind == RecordKind::kPart) continue;
    frame->swap(parts_);
    std::string().swap(parts_);
    return Outcome::kFrame;
  }
}

bool RingReader::Release() {
  if (released_ == head_) return false;
  released_ = head_;
  shared_head_->bytes.store(head_, std::memory_order_release);
  return true;
}

}  // namespace kiln::shm
