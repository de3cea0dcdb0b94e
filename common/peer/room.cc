#include "common/peer/room.h"

#include <utility>

#include "common/peer/peer.h"

namespace kiln::peer {

Room::Room(size_t size_bytes)
    : bytes_(size_bytes, '\0'),
      data_(reinterpret_cast<std::byte*>(bytes_.data())),
      size_bytes_(size_bytes) {}

Room::Room(std::shared_ptr<Peer> peer, ObjectId id, CachedSlice slice, std::byte* data)
    : peer_(std::move(peer)), id_(id), slice_(slice), data_(data), size_bytes_(slice.size_bytes) {}

Room::~Room() {
  if (peer_) {
    std::shared_ptr<Peer> peer = peer_;
    Close();
    peer->Abort(id_);
  }
}

void Room::Close() {
  peer_->segment().EndWrite(slice_.offset_bytes, slice_.size_bytes);
  peer_.reset();
}

}  // namespace kiln::peer
