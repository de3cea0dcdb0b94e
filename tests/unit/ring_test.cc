#include "common/shm/ring.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace kiln::shm {
namespace {

using Outcome = RingReader::Outcome;

constexpr size_t kMaxFrame = size_t{16} << 20;

// The shared memory of one ring, and both honest sides of it.
struct Ring {
  std::unique_ptr<std::byte[]> data = std::make_unique<std::byte[]>(kRingBytes);
  RingPosition tail{}, head{};
  RingWriter writer{data.get(), &tail, &head};
  RingReader reader{data.get(), &tail, &head};

  // Returns: false if there is no room.
  bool Write(std::string_view bytes, RecordKind kind = RecordKind::kLast) {
    std::byte* room = writer.Reserve(bytes.size());
    if (room == nullptr) return false;
    std::memcpy(room, bytes.data(), bytes.size());
    writer.Commit(bytes.size(), kind);
    return true;
  }
  std::string Read() {
    std::string frame;
    REQUIRE(reader.Read(&frame, kMaxFrame) == Outcome::kFrame);
    return frame;
  }
  Outcome Try(size_t max_frame_bytes = kMaxFrame) {
    std::string frame;
    return reader.Read(&frame, max_frame_bytes);
  }

  // --- a lying writer ----------------------------------------------------------------------------
  void Forge(uint64_t at, uint32_t size_bytes, uint32_t kind) {
    const uint32_t header[] = {size_bytes, kind};
    std::memcpy(data.get() + at % kRingBytes, header, sizeof header);
  }
  void MoveTail(uint64_t to) { tail.bytes.store(to); }
};

TEST_CASE("frames come out as they went in, in order, the empty one too") {
  Ring ring;
  for (const char* text : {"first", "", "the third"}) REQUIRE(ring.Write(text));
  CHECK(ring.Try() == Outcome::kEmpty);  // not published
  CHECK(ring.writer.Publish());
  CHECK_FALSE(ring.writer.Publish());
  CHECK(ring.Read() == "first");
  CHECK(ring.Read() == "");
  CHECK(ring.Read() == "the third");
  CHECK(ring.Try() == Outcome::kEmpty);
  CHECK_FALSE(ring.writer.drained());
  ring.reader.Release();
  CHECK(ring.writer.drained());
}

TEST_CASE("a record that was reserved may turn out shorter") {
  Ring ring;
  std::byte* room = ring.writer.Reserve(1'000);
  REQUIRE(room != nullptr);
  std::memcpy(room, "short", 5);
  ring.writer.Commit(5, RecordKind::kLast);
  ring.Write("next");
  ring.writer.Publish();
  CHECK(ring.Read() == "short");
  CHECK(ring.Read() == "next");
}

TEST_CASE("a record that does not fit before the end begins anew at the start") {
  Ring ring;
  const std::string big(kMaxRecordBytes, 'b');
  for (int i = 0; i < 100; ++i) {
    INFO("round " << i);
    // Sizes that leave every multiple of 8 at the end, room for a lone header among them.
    const std::string small(static_cast<size_t>(i * 8), 's');
    REQUIRE(ring.Write(big));
    REQUIRE(ring.Write(small));
    ring.writer.Publish();
    REQUIRE(ring.Read() == big);
    REQUIRE(ring.Read() == small);
    ring.reader.Release();
  }
}

TEST_CASE("a full ring takes nothing more until something was read and released") {
  Ring ring;
  const std::string frame(1'000, 'x');
  size_t written = 0;
  while (ring.Write(frame)) ++written;
  CHECK(written == kRingBytes / (1'000 + sizeof(RecordHeader)));
  ring.writer.Publish();
  for (size_t i = 0; i < written; ++i) REQUIRE(ring.Read() == frame);
  CHECK_FALSE(ring.Write(frame));
  ring.reader.Release();
  CHECK(ring.Write(frame));
}

TEST_CASE("a long frame goes in parts, through a ring smaller than itself") {
  Ring ring;
  std::string sent(3 * kRingBytes + 17, '\0');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7);
  std::string got;
  Outcome outcome = Outcome::kEmpty;
  for (size_t at = 0; at < sent.size();) {
    const std::string part = sent.substr(at, kMaxRecordBytes);
    const bool last = at + part.size() == sent.size();
    if (ring.Write(part, last ? RecordKind::kLast : RecordKind::kPart)) {
      at += part.size();
      continue;
    }
    ring.writer.Publish();
    REQUIRE(ring.reader.Read(&got, kMaxFrame) == Outcome::kEmpty);  // the rest is to come
    ring.reader.Release();
  }
  ring.writer.Publish();
  outcome = ring.reader.Read(&got, kMaxFrame);
  CHECK(outcome == Outcome::kFrame);
  CHECK(got == sent);
}

TEST_CASE("the memory of a long frame is not kept") {
  Ring ring;
  std::string frame;
  for (int i = 0; i < 3; ++i) ring.Write(std::string(kMaxRecordBytes, 'p'), RecordKind::kPart);
  ring.Write("end");
  ring.writer.Publish();
  REQUIRE(ring.reader.Read(&frame, kMaxFrame) == Outcome::kFrame);
  REQUIRE(frame.size() == 3 * kMaxRecordBytes + 3);
  ring.reader.Release();
  ring.Write("short");
  ring.writer.Publish();
  REQUIRE(ring.reader.Read(&frame, kMaxFrame) == Outcome::kFrame);
  CHECK(frame == "short");
  CHECK(frame.capacity() <= 2 * kMaxRecordBytes);
}

TEST_CASE("a writer that dies in the middle of a frame leaves nothing readable") {
  Ring ring;
  REQUIRE(ring.Write("whole"));
  ring.writer.Publish();
  REQUIRE(ring.writer.Reserve(100) != nullptr);  // never committed
  CHECK(ring.Read() == "whole");
  CHECK(ring.Try() == Outcome::kEmpty);
  ring.Write("part", RecordKind::kPart);  // its last part never comes
  ring.writer.Publish();
  CHECK(ring.Try() == Outcome::kEmpty);
  CHECK_FALSE(ring.reader.broken());
}

// --- lies of the writer --------------------------------------------------------------------------

TEST_CASE("a writer that lies breaks the ring, for good") {
  Ring ring;
  SECTION("a tail beyond the ring") {
    ring.MoveTail(kRingBytes + 8);
  }
  SECTION("a tail far beyond") {
    ring.MoveTail(~uint64_t{7});
  }
  SECTION("a tail that is no multiple of 8") {
    ring.Forge(0, 4, 0);
    ring.MoveTail(13);
  }
  SECTION("a length over the tail") {
    ring.Forge(0, 100, 0);
    ring.MoveTail(16);
  }
  SECTION("a length over the end of the ring") {
    ring.Write(std::string(kMaxRecordBytes, 'x'));
    ring.Write(std::string(kMaxRecordBytes, 'x'));
    ring.Write(std::string(kMaxRecordBytes, 'x'));
    ring.writer.Publish();
    for (int i = 0; i < 3; ++i) ring.Read();
    ring.reader.Release();
    const uint64_t at = 3 * (kMaxRecordBytes + sizeof(RecordHeader));
    ring.Forge(at, kMaxRecordBytes, 0);
    ring.MoveTail(at + sizeof(RecordHeader) + kMaxRecordBytes);
  }
  SECTION("the largest length there is") {
    ring.Forge(0, ~uint32_t{0}, 0);
    ring.MoveTail(kRingBytes);
  }
  SECTION("a record above the allowed size") {
    ring.Forge(0, kMaxRecordBytes + 1, 0);
    ring.MoveTail(kRingBytes);
  }
  SECTION("a kind that there is not") {
    ring.Forge(0, 8, 3);
    ring.MoveTail(16);
  }
  SECTION("a skip over the tail") {
    ring.Forge(0, kRingBytes - 8, 2);
    ring.MoveTail(64);
  }
  CHECK(ring.Try() == Outcome::kBroken);
  CHECK(ring.reader.broken());
  ring.Forge(0, 0, 0);  // telling the truth later does not help
  ring.MoveTail(8);
  CHECK(ring.Try() == Outcome::kBroken);
}

TEST_CASE("a tail that goes back breaks the ring") {
  Ring ring;
  ring.Write("a frame");
  ring.writer.Publish();
  ring.Read();
  SECTION("behind what was read") {
    ring.MoveTail(8);
  }
  SECTION("behind what was released") {
    ring.reader.Release();
    ring.MoveTail(8);
  }
  CHECK(ring.Try() == Outcome::kBroken);
}

TEST_CASE("a frame may grow to its bound and no further") {
  Ring ring;
  constexpr size_t kMost = 3 * kMaxRecordBytes;
  const std::string part(kMaxRecordBytes, 'p');
  for (int i = 0; i < 3; ++i) REQUIRE(ring.Write(part, RecordKind::kPart));
  SECTION("at the bound") {
    REQUIRE(ring.Write(""));
    ring.writer.Publish();
    CHECK(ring.Try(kMost) == Outcome::kFrame);
  }
  SECTION("beyond it") {
    REQUIRE(ring.Write("x", RecordKind::kPart));
    ring.writer.Publish();
    CHECK(ring.Try(kMost) == Outcome::kBroken);
  }
  SECTION("beyond it by one record") {
    ring.writer.Publish();
    CHECK(ring.Try(kMost - 1) == Outcome::kBroken);
  }
}

TEST_CASE("a frame of no end keeps its reader no longer than what the ring holds") {
  // No bound on the frame's size ends it when its parts are empty. A writer that refills as fast as
  // they are read must find no room before the reader has returned.
  Ring ring;
  for (int round = 0; round < 3; ++round) {
    while (ring.Write("", RecordKind::kPart)) {
    }
    ring.writer.Publish();
    const uint64_t head = ring.head.bytes;
    CHECK(ring.Try() == Outcome::kEmpty);
    CHECK(ring.head.bytes == head);
    ring.reader.Release();
    CHECK(ring.head.bytes == head + kRingBytes);
  }
}

TEST_CASE("skips alone keep a reader no longer than what the ring holds") {
  Ring ring;
  for (uint64_t at = 0; at < kRingBytes; at += 8) ring.Forge(at, 0, 2);
  ring.MoveTail(kRingBytes);
  CHECK(ring.Try() == Outcome::kEmpty);
}

// --- lies of the reader --------------------------------------------------------------------------

TEST_CASE("a reader that lies about its position gets nothing more, and the writer no harm") {
  Ring ring;
  const std::string frame(kMaxRecordBytes, 'x');
  while (ring.Write(frame)) ring.writer.Publish();
  const uint64_t written = ring.tail.bytes;
  uint64_t lie = 0;
  SECTION("beyond what was written") {
    lie = written + 8;
  }
  SECTION("far beyond") {
    lie = ~uint64_t{7};
  }
  SECTION("before the beginning") {
    lie = uint64_t{0} - 64;
  }
  ring.head.bytes = lie;
  for (int i = 0; i < 3; ++i) CHECK_FALSE(ring.Write(frame));
  CHECK(ring.tail.bytes == written);
  ring.head.bytes = written;  // the truth
  CHECK(ring.Write(frame));
}

TEST_CASE("a reader that takes back what it has read gets nothing more") {
  Ring ring;
  const std::string frame(kMaxRecordBytes, 'x');
  while (ring.Write(frame)) ring.writer.Publish();
  ring.head.bytes = 2 * (kMaxRecordBytes + sizeof(RecordHeader));
  while (ring.Write(frame)) ring.writer.Publish();
  ring.head.bytes = kMaxRecordBytes + sizeof(RecordHeader);
  CHECK_FALSE(ring.Write(frame));
}

// --- both at once --------------------------------------------------------------------------------

// A frame that tells its number and what must be in it.
std::string Numbered(uint64_t number, size_t size_bytes) {
  std::string frame(sizeof number + size_bytes, '\0');
  std::memcpy(frame.data(), &number, sizeof number);
  std::mt19937_64 random(number);
  for (size_t i = sizeof number; i < frame.size(); i += 8) {
    const uint64_t word = random();
    std::memcpy(frame.data() + i, &word, std::min<size_t>(8, frame.size() - i));
  }
  return frame;
}

size_t SizeOf(std::mt19937_64& random) {
  const uint64_t lot = random() % 10'000;
  if (lot == 0) return random() % (2 * kRingBytes);  // in parts
  if (lot < 100) return random() % kMaxRecordBytes;
  return random() % 64;
}

TEST_CASE("two threads exchange frames of every size, and each arrives whole and in order") {
  constexpr uint64_t kFrames = 1'000'000;
  Ring ring;
  std::thread writing([&] {
    std::mt19937_64 random(1);
    const auto write = [&](std::string_view bytes, RecordKind kind) {
      while (!ring.Write(bytes, kind)) {
        ring.writer.Publish();
        std::this_thread::yield();
      }
    };
    for (uint64_t number = 0; number < kFrames; ++number) {
      const std::string frame = Numbered(number, SizeOf(random));
      std::string_view rest = frame;
      for (; rest.size() > kMaxRecordBytes; rest.remove_prefix(kMaxRecordBytes)) {
        write(rest.substr(0, kMaxRecordBytes), RecordKind::kPart);
      }
      write(rest, RecordKind::kLast);
      if (random() % 8 == 0) ring.writer.Publish();
    }
    ring.writer.Publish();
  });
  std::mt19937_64 sizes(1), random(2);
  uint64_t number = 0;
  bool whole = true;
  while (number < kFrames && whole) {
    std::string frame;
    const Outcome outcome = ring.reader.Read(&frame, kMaxFrame);
    if (outcome == Outcome::kFrame) {
      const size_t size_bytes = SizeOf(sizes);
      sizes.discard(1);  // the writer's lot whether to publish
      whole = frame == Numbered(number++, size_bytes);
      if (random() % 16 == 0) ring.reader.Release();
      continue;
    }
    whole = outcome == Outcome::kEmpty;
    ring.reader.Release();
    std::this_thread::yield();
  }
  INFO("frame " << number);
  CHECK(whole);
  if (!whole) std::abort();  // the other thread would wait for ever
  writing.join();
  CHECK(ring.Try() == Outcome::kEmpty);
}

}  // namespace
}  // namespace kiln::shm
