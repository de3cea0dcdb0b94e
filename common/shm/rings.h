// The shared memory of one session: a ring each way and the two bells.
//
// A memory file, made by the head and sealed against resizing, its pages taken at once: no access
// can fail later. Both sides map all of it.
//
// A bell is a word that says how its owner is to be told of a frame; whoever rings sets it to
// kAwake first, so that one ring is enough. It is a hint: both sides write it, and one who lies
// about it only delays its own session.
//
// Thread: as RingWriter and RingReader; the bells any.
// See:    docs/wire.md, "Rings"
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/shm/ring.h"
#include "common/status.h"

namespace kiln::shm {

enum class Bell : uint32_t {
  kAwake = 0,       // looks by itself
  kParked = 1,      // a peer: wake the futex on this word; the head: send a byte
  kUnattended = 2,  // a peer: nobody waits for a frame; send a byte
};

struct alignas(64) BellWord {
  std::atomic<uint32_t> state;
};
static_assert(sizeof(std::atomic<uint32_t>) == 4 && std::atomic<uint32_t>::is_always_lock_free,
              "the kernel compares it in futex");

// The first page. Offsets are part of the protocol: docs/wire.md.
struct RingsHeader {
  uint64_t magic;       // kRingsMagic
  uint32_t version;     // kRingsVersion
  uint32_t ring_bytes;  // kRingBytes
  // Written by the head.
  RingPosition to_peer_tail;
  RingPosition to_head_head;
  BellWord head_wants_room;  // 1: ring the head's bell after reading
  // Written by the peer.
  RingPosition to_head_tail;
  RingPosition to_peer_head;
  // Written by both.
  BellWord head_bell;
  BellWord peer_bell;
};
inline constexpr uint64_t kRingsMagic = 0x73676e69726e6c6b;  // "klnrings"
inline constexpr uint32_t kRingsVersion = 1;
inline constexpr size_t kRingsHeaderBytes = 4096;
inline constexpr size_t kRingsBytes = kRingsHeaderBytes + 2 * kRingBytes;
static_assert(offsetof(RingsHeader, to_peer_tail) == 64 &&
                  offsetof(RingsHeader, to_head_head) == 128 &&
                  offsetof(RingsHeader, head_wants_room) == 192 &&
                  offsetof(RingsHeader, to_head_tail) == 256 &&
                  offsetof(RingsHeader, to_peer_head) == 320 &&
                  offsetof(RingsHeader, head_bell) == 384 &&
                  offsetof(RingsHeader, peer_bell) == 448 && sizeof(RingsHeader) == 512,
              "the layout is part of the protocol: docs/wire.md");

class Rings {
 public:
  // Errors: ResourceExhausted (no memory, no descriptor).
  static Result<std::unique_ptr<Rings>> Create();
  // Maps rings made by the head; takes over `fd`.
  // Errors: InvalidArgument (not such a file, or of another version), ResourceExhausted.
  static Result<std::unique_ptr<Rings>> Attach(int fd);
  ~Rings();
  Rings(const Rings&) = delete;
  Rings& operator=(const Rings&) = delete;

  int fd() const { return fd_; }
  RingsHeader& header() { return *reinterpret_cast<RingsHeader*>(base_); }
  std::byte* to_head() { return base_ + kRingsHeaderBytes; }
  std::byte* to_peer() { return to_head() + kRingBytes; }

 private:
  Rings(int fd, std::byte* base) : fd_(fd), base_(base) {}
  static Result<std::unique_ptr<Rings>> Map(int fd);

  const int fd_;
  std::byte* const base_;
};

}  // namespace kiln::shm
