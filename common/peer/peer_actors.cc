// Actors as their callers see them: made, found, ended. Calls are submitted like tasks.
#include <utility>

#include "common/peer/peer.h"

namespace kiln::peer {

Result<v1::ActorAnswer> Peer::CreateActor(uint32_t class_id, std::vector<Argument> arguments,
                                          v1::CreateActor request, const SubmitOptions& options) {
  v1::PeerFrame frame;
  v1::Submit* submit = request.mutable_submit();
  std::vector<ObjectId> temporaries;
  const ObjectId id = NextIds(1);
  const bool named = !request.name().empty();
  v1::ActorAnswer answer;
  answer.set_id(id);
  Status status = FillSubmit(id, class_id, std::move(arguments), options, submit, &temporaries);
  if (status.ok()) {
    std::unique_lock lock(mutex_);
    status = TakeCredit(lock, submit->args().size(), options.block, options.interrupted);
    if (status.ok() && !named) objects_.AddHandle(id, /*from_head=*/true);
  }
  if (status.ok()) {
    *frame.mutable_create_actor() = std::move(request);
    if (named) {
      status = AskActor(frame, id, &answer, options.interrupted);
    } else {
      transport_->Send(frame, Urgency::kSoon);
    }
  }
  for (ObjectId temporary : temporaries) Release(temporary);
  if (!status.ok()) return status;
  return answer;
}

Result<v1::ActorAnswer> Peer::FindActor(const std::string& name, const std::string& name_space,
                                        const Interrupted* interrupted) {
  v1::PeerFrame frame;
  v1::FindActor* find = frame.mutable_find_actor();
  find->set_request_id(NextIds(1));
  find->set_name(name);
  find->set_namespace_(name_space);
  v1::ActorAnswer answer;
  Status status = AskActor(frame, find->request_id(), &answer, interrupted);
  if (!status.ok()) return status;
  return answer;
}

Result<uint64_t> Peer::CountPendingCalls(ObjectId actor, const Interrupted* interrupted) {
  v1::PeerFrame frame;
  v1::FindActor* find = frame.mutable_find_actor();
  find->set_request_id(NextIds(1));
  find->set_id(actor);
  v1::ActorAnswer answer;
  Status status = AskActor(frame, find->request_id(), &answer, interrupted);
  if (!status.ok()) return status;
  return answer.pending_calls();
}

void Peer::KillActor(ObjectId actor, bool may_restart) {
  v1::PeerFrame frame;
  frame.mutable_kill_actor()->set_id(actor);
  frame.mutable_kill_actor()->set_may_restart(may_restart);
  transport_->Send(frame, Urgency::kNow);
}

// An answer that nobody waits for any more brings a reference all the same: OnActorAnswer gives it
// back.
Status Peer::AskActor(v1::PeerFrame& frame, uint64_t request_id, v1::ActorAnswer* answer,
                      const Interrupted* interrupted) {
  {
    std::lock_guard lock(mutex_);
    if (ended_) return Disconnected();
    asking_[request_id] = answer;
  }
  transport_->Send(frame, Urgency::kNow);
  std::unique_lock lock(mutex_);
  const auto answered = [&] { return !asking_.contains(request_id) || ended_; };
  Status status = WaitFor(lock, answered_, answered, std::nullopt, interrupted);
  const bool missing = asking_.erase(request_id) > 0;
  if (!status.ok()) return status;
  if (missing) return Disconnected();
  if (answer->code() == 0) return Status();
  return Status(static_cast<Code>(answer->code()), answer->error());
}

void Peer::OnActorAnswer(v1::ActorAnswer& answer) {
  std::lock_guard lock(mutex_);
  auto awaited = asking_.find(answer.request_id());
  // Of a question by id nobody gets a reference.
  const bool brings_reference = answer.id() != 0 && answer.has_class_();
  if (awaited == asking_.end()) {
    if (!brings_reference || ended_) return;
    v1::PeerFrame frame;
    frame.mutable_release()->add_ids(answer.id());
    return transport_->Send(frame, Urgency::kLazy, /*may_block=*/false);
  }
  if (brings_reference) objects_.AddHandle(answer.id(), /*from_head=*/true);
  *awaited->second = std::move(answer);
  asking_.erase(awaited);
  answered_.notify_all();
}

}  // namespace kiln::peer
