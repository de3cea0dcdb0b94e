// Hostile shared memory against both ends of a ring: whatever lies there and however positions
// move, nobody reads or writes outside of it, and no frame is larger than its bound.
//
// Input: the number of steps (1 byte), the steps (a kind and 3 bytes of argument each), and what
// lies in the ring from its beginning.
#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "common/shm/ring.h"

namespace kiln::shm {
namespace {

constexpr size_t kMaxFrame = size_t{1} << 20;
constexpr size_t kStepBytes = 4;

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "ring_fuzz: %s\n", what);
  std::abort();
}

class World {
 public:
  explicit World(std::span<const uint8_t> content) {
    // The heap's own block, so that a byte beyond it is found.
    std::memcpy(data_.get(), content.data(), std::min<size_t>(content.size(), kRingBytes));
  }

  void Step(uint8_t kind, uint32_t argument) {
    switch (kind % 8) {
      case 0:  // aligned, around where it was
        tail_.bytes = tail_.bytes + 8 * uint64_t{argument};
        return;
      case 1:  // anything: unaligned, backwards, far away
        tail_.bytes = uint64_t{argument} * 0x1'0000'0001u - (argument & 0xff);
        return;
      case 2:
        return Read();
      case 3:
        reader_.Release();
        return;
      case 4:  // a record's header, anywhere
        return Forge(argument);
      case 5:
        return Write(argument);
      case 6:
        writer_.Publish();
        return;
      case 7:
        head_.bytes = uint64_t{argument} * 0x1'0000'0001u;
        return;
    }
  }

 private:
  void Read() {
    std::string frame;
    const uint64_t before = head_.bytes;
    for (int i = 0; i < 64; ++i) {
      const RingReader::Outcome outcome = reader_.Read(&frame, kMaxFrame);
      Require(frame.size() <= kMaxFrame, "a frame above its bound");
      Require(reader_.broken() == (outcome == RingReader::Outcome::kBroken), "broken or not");
      if (outcome != RingReader::Outcome::kFrame) break;
    }
    Require(head_.bytes == before, "room given back by reading");
    if (reader_.broken()) Require(reader_.empty(), "a broken ring with something in it");
  }

  void Forge(uint32_t argument) {
    const uint32_t header[] = {(argument >> 4) & 0x1ffff, argument & 3};
    std::memcpy(data_.get() + (argument * 8ull) % kRingBytes, header, sizeof header);
  }

  // As an honest writer, of the same ring: its own bounds hold whatever the reader says.
  void Write(uint32_t argument) {
    const uint64_t size_bytes = argument % (kMaxRecordBytes + 1);
    std::byte* room = writer_.Reserve(size_bytes);
    if (room == nullptr) return;
    std::memset(room, 0x55, size_bytes);
    writer_.Commit(size_bytes, argument & 0x800000 ? RecordKind::kPart : RecordKind::kLast);
  }

  std::unique_ptr<std::byte[]> data_ = std::make_unique<std::byte[]>(kRingBytes);
  RingPosition tail_{}, head_{};
  RingWriter writer_{data_.get(), &tail_, &head_};
  RingReader reader_{data_.get(), &tail_, &head_};
};

}  // namespace
}  // namespace kiln::shm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::span<const uint8_t> input(data + 1, size - 1);
  const size_t steps = std::min<size_t>(data[0], input.size() / kiln::shm::kStepBytes);
  kiln::shm::World world(input.subspan(steps * kiln::shm::kStepBytes));
  for (size_t i = 0; i < steps; ++i) {
    const uint8_t* step = input.data() + i * kiln::shm::kStepBytes;
    world.Step(step[0], step[1] | step[2] << 8 | uint32_t{step[3]} << 16);
  }
  return 0;
}
