#include "daemon/sessions/head_session.h"

#include <algorithm>
#include <random>
#include <utility>

namespace kiln::sessions {

// The sequence starts at random, so that refs of an earlier head are unknown rather than mistaken.
HeadSession::HeadSession(EventLoop* loop, core::Core* core)
    : loop_(loop), core_(core), next_sequence_(std::random_device()() + uint64_t{1}) {}

ObjectId HeadSession::NextIds(uint32_t count) {
  ObjectId first = MakeObjectId(kHeadSession, next_sequence_);
  next_sequence_ += count;
  return first;
}

Result<HeadSession::WaitId> HeadSession::Wait(std::vector<ObjectId> ids, size_t needed, Time when,
                                              Done done) {
  size_t sealed = 0;
  for (ObjectId id : ids) {
    std::optional<core::ObjectView> object = core_->FindObject(id);
    if (!object) {
      return Status(Code::kNotFound, "no object has the ref " + FormatRef(id) +
                                         "; it was released, or belongs to another head");
    }
    sealed += object->state == core::ObjectView::State::kSealed;
  }
  WaitId wait = next_wait_++;
  core_->OnRetained(kHeadSession, ids);
  Waiting& waiting = waits_[wait];
  waiting.ids = std::move(ids);
  waiting.done = std::move(done);
  waiting.missing = needed - std::min(needed, sealed);
  if (waiting.missing == 0 || when <= Clock::now()) {
    // Not at once: the caller does not know the wait's id yet.
    bool in_time = waiting.missing == 0;
    loop_->Post([this, wait, in_time] { Finish(wait, in_time); });
    return wait;
  }
  std::vector<ObjectId> pending;
  for (ObjectId id : waiting.ids) {
    if (core_->FindObject(id)->state != core::ObjectView::State::kSealed) pending.push_back(id);
  }
  for (ObjectId id : pending) by_object_.emplace(id, wait);
  // Asked once, however often it is waited for: the core remembers until the object is sealed.
  std::erase_if(pending, [this](ObjectId id) { return !wanted_.insert(id).second; });
  core_->OnWanted(kHeadSession, pending, false, 0, 0, Clock::now());
  if (when != kNever) waiting.timer = loop_->At(when, [this, wait] { Finish(wait, false); });
  return wait;
}

void HeadSession::CancelWait(WaitId id) {
  auto wait = waits_.find(id);
  if (wait == waits_.end()) return;
  wait->second.done = [](bool) {};
  Finish(id, false);
}

void HeadSession::OnDelivered(ObjectId id) {
  wanted_.erase(id);
  std::vector<WaitId> done;
  auto [begin, end] = by_object_.equal_range(id);
  for (auto it = begin; it != end; ++it) {
    Waiting& waiting = waits_.at(it->second);
    if (waiting.missing > 0 && --waiting.missing == 0) done.push_back(it->second);
  }
  by_object_.erase(begin, end);
  for (WaitId wait : done) Finish(wait, true);
}

void HeadSession::Finish(WaitId id, bool in_time) {
  auto found = waits_.find(id);
  if (found == waits_.end()) return;
  Waiting waiting = std::move(found->second);
  waits_.erase(found);
  loop_->CancelTimer(waiting.timer);
  for (ObjectId object : waiting.ids) {
    auto [begin, end] = by_object_.equal_range(object);
    for (auto it = begin; it != end;) it = it->second == id ? by_object_.erase(it) : std::next(it);
  }
  waiting.done(in_time);  // before the objects may go
  (void)core_->OnReleased(kHeadSession, waiting.ids, Clock::now());
}

}  // namespace kiln::sessions
