// Placement groups as their makers see them. What runs in them is submitted like anything else.
#include <utility>

#include "common/peer/peer.h"

namespace kiln::peer {

Result<ObjectId> Peer::CreateGroup(v1::CreateGroup request) {
  const ObjectId id = NextIds(1);
  request.set_id(id);
  if (host_) request.set_parent_task_id(host_->TaskOfThisThread());
  {
    std::lock_guard lock(mutex_);
    if (ended_) return Disconnected();
    objects_.AddHandle(id, /*from_head=*/true);
  }
  v1::PeerFrame frame;
  *frame.mutable_create_group() = std::move(request);
  transport_->Send(frame, Urgency::kSoon);
  return id;
}

void Peer::RemoveGroup(ObjectId group) {
  v1::PeerFrame frame;
  frame.mutable_remove_group()->set_id(group);
  transport_->Send(frame, Urgency::kNow);
}

}  // namespace kiln::peer
