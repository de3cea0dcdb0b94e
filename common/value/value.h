// The encoded form of a value: header, buffer table, msgpack body, aligned out-of-band buffers.
//
//   0   ValueHeader (32 bytes)
//   32  BufferEntry[buffer_count] (16 bytes each)
//   ..  body: msgpack, body_bytes long, directly after the table
//   ..  buffers, each at a multiple of 64 from the start of the value
//
// A value is written once, by one process, and read by others that trust nothing in it: every
// reader goes through ParseValue, which checks all bounds.
//
// Thread: any; plain data.
// See:    docs/wire.md, "Values".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/ids.h"
#include "common/status.h"

namespace kiln::value {

inline constexpr uint32_t kMagic = 0x564e4c4b;  // "KLNV", little endian
inline constexpr uint8_t kVersion = 1;
inline constexpr size_t kBufferAlignment = 64;  // a cache line; what NumPy and SIMD want

enum class Kind : uint8_t {
  kNull = 0,     // no body
  kMsgpack = 1,  // any msgpack; refs are ext type kRefExtension with the id, 8 bytes big endian
  kNdarray = 2,  // body {"dtype": "<f8", "shape": [..]}, one buffer, C order
  kPickle = 3,   // Python only
  kError = 4,    // see error_value.h
};

inline constexpr int8_t kRefExtension = 1;
// A tuple, where a language tells it from a list: the extension's bytes are one msgpack list. Other
// readers take it for that list.
inline constexpr int8_t kTupleExtension = 2;

struct ValueHeader {
  uint32_t magic = kMagic;
  uint8_t version = kVersion;
  Kind kind = Kind::kNull;
  uint16_t reserved = 0;
  uint64_t body_bytes = 0;
  uint32_t buffer_count = 0;
  uint32_t reserved2 = 0;
  uint64_t total_bytes = 0;  // of the whole value
};
static_assert(sizeof(ValueHeader) == 32, "read by other processes and languages");

struct BufferEntry {
  uint64_t offset_bytes;  // from the start of the value
  uint64_t size_bytes;
};
static_assert(sizeof(BufferEntry) == 16, "read by other processes and languages");

// Bytes that somebody keeps alive: a received frame, a mapped object.
struct SharedBytes {
  std::shared_ptr<const void> owner;
  const std::byte* data = nullptr;
  size_t size_bytes = 0;

  std::string_view view() const { return {reinterpret_cast<const char*>(data), size_bytes}; }
};

// Private memory for an encoded value, aligned to 16 bytes as malloc's. Returns: the bytes, to be
// written through `room` before anybody reads them.
SharedBytes MakeBytes(size_t size_bytes, std::byte** room);
SharedBytes CopyBytes(std::string_view bytes);

// Writable room for one encoded value: in the store when it is large, in private memory otherwise.
// Dropped unsealed, the room is given back. Implemented by peer::Room.
class Room {
 public:
  virtual ~Room() = default;
  virtual std::byte* data() = 0;
  virtual size_t size_bytes() const = 0;
};

// A value about to be written: knows its size before it is copied anywhere, so that it can be
// written in place into the store.
struct Parts {
  Kind kind = Kind::kNull;
  std::string body;
  std::span<const std::byte> body_rest;             // what follows `body` in the body; borrowed
  std::vector<std::span<const std::byte>> buffers;  // borrowed, see `owner`
  std::vector<ObjectId> contained;                  // refs inside the value
  // Keeps `body_rest`, `buffers` and the references on `contained` alive, if anything does; null:
  // the caller sees to it. Hold the Parts until the value is written and `contained` is told to the
  // head.
  std::shared_ptr<const void> owner;
  // Set when the value's only buffer already lies in its place in this room (an Array made by
  // Create): WriteTo(room->data()) then writes all but the buffer, and the room is sealed.
  std::shared_ptr<Room> room;

  size_t BodyBytes() const { return body.size() + body_rest.size(); }
  size_t SizeBytes() const;
  // Requires: `out` has SizeBytes() bytes. Buffers that already lie in their place are not copied.
  void WriteTo(std::byte* out) const;
  std::string ToString() const;
  SharedBytes ToBytes() const;
};

// Where a buffer of `size_bytes` lies in a value with this body and no other buffer.
// Returns: its offset from the start of the value.
size_t FirstBufferOffset(size_t body_bytes);

// A checked view of an encoded value.
struct View {
  Kind kind = Kind::kNull;
  std::string_view body;
  std::vector<std::span<const std::byte>> buffers;
};

// Errors: DataLoss (not a value, or bounds that lie outside it).
Result<View> ParseValue(std::string_view bytes);

}  // namespace kiln::value
