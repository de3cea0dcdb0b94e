// Room for one value while it is written: private memory for a small one, pages of the store for a
// large one.
//
// Thread: one writer.
// Owner:  whoever writes the value.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "common/ids.h"
#include "common/peer/object_cache.h"
#include "common/shm/segment.h"
#include "common/value/value.h"

namespace kiln::peer {

class Peer;

class Room : public value::Room {
 public:
  // In private memory, for a value that rides in a frame.
  explicit Room(size_t size_bytes);
  // In the store: `data` is writable until the room is sealed or dropped.
  Room(std::shared_ptr<Peer> peer, ObjectId id, CachedSlice slice, std::byte* data);
  // Gives unsealed room back.
  ~Room() override;
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  std::byte* data() override { return data_; }
  size_t size_bytes() const override { return size_bytes_; }
  bool in_store() const { return id_ != 0; }
  ObjectId id() const { return id_; }
  const CachedSlice& slice() const { return slice_; }

  // Makes the pages read-only; the room is the reader's from now on. Requires: in_store().
  void Close();
  // The bytes of private room; a copy, for arrays may go on looking at the room.
  // Requires: !in_store().
  const std::string& bytes() const { return bytes_; }

 private:
  std::shared_ptr<Peer> peer_;  // null in private memory, and once closed
  ObjectId id_ = 0;
  CachedSlice slice_;
  std::string bytes_;
  std::byte* data_;
  size_t size_bytes_;
};

}  // namespace kiln::peer
