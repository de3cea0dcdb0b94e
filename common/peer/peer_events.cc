// What a peer hears without having asked in this moment: watched objects, the output of tasks.
#include <unistd.h>

#include <utility>

#include "common/limits.h"
#include "common/peer/peer.h"

namespace kiln::peer {

void Peer::Watch(ObjectId id) {
  v1::PeerFrame frame;
  {
    std::lock_guard lock(mutex_);
    CachedObject* object = objects_.Find(id);
    if (!object || ended_) return;
    ++watching_;
    if (object->has_value()) {
      NoteSealed(id);
      if (host_) transport_->Wake();  // who listens may be the one that reads
      return;
    }
    if (host_) event_.notify_all();  // somebody must read from now on
    object->watched = true;
    if (std::exchange(object->asked_value, true)) return;
    frame.mutable_want()->add_ids(id);
    frame.mutable_want()->set_values(true);
  }
  transport_->Send(frame, Urgency::kNow);
}

// Requires: mutex_ is held.
void Peer::NoteSealed(ObjectId watched) {
  --watching_;
  events_.sealed.push_back(watched);
  event_.notify_all();
}

void Peer::KeepLines(bool keep) {
  std::lock_guard lock(mutex_);
  lines_ = keep ? Lines::kKeep : Lines::kDrop;
}

void Peer::OnLogLines(v1::LogLines& lines) {
  {
    std::lock_guard lock(mutex_);
    if (lines_ == Lines::kDrop) return;
    if (lines_ == Lines::kKeep) {
      const auto count = static_cast<size_t>(lines.lines_size());
      if (lines_kept_ + count > limits::kMostLinesKept) {
        events_.lines_dropped += count;
      } else {
        lines_kept_ += count;
        events_.lines.push_back(std::move(lines));
      }
      return event_.notify_all();
    }
  }
  for (const std::string& line : lines.lines()) {
    const std::string text =
        "(" + lines.task() + " pid=" + std::to_string(lines.pid()) + ") " + line + "\n";
    (void)!write(STDERR_FILENO, text.data(), text.size());
  }
}

// A worker's transport does not listen by itself while its task thread is busy, so who watches
// there reads; a driver's does.
Peer::Events Peer::NextEvents() {
  const auto any = [&] {
    return !events_.sealed.empty() || !events_.lines.empty() || events_.lines_dropped > 0 ||
           events_.ended;
  };
  std::unique_lock lock(mutex_);
  while (!any()) {
    if (host_ && watching_ > 0) {
      transport_->Wait(lock, event_, any, std::nullopt);
    } else {
      event_.wait(lock, [&] { return any() || (host_ && watching_ > 0); });
    }
  }
  Events told = std::move(events_);
  events_ = Events();
  events_.ended = told.ended;
  lines_kept_ = 0;
  return told;
}

}  // namespace kiln::peer
