// Streams: taking the items of those this session has submitted, and handing over those that a task
// of this worker makes.
#include <algorithm>
#include <utility>

#include "common/peer/peer.h"

namespace kiln::peer {

// Requires: the mutex is held, and the task was not submitted yet: its items may come at once.
// Returns:  true if tasks of this class are streaming.
bool Peer::OpenStream(uint32_t class_id, TaskId stream) {
  auto window = stream_windows_.find(class_id);
  if (window == stream_windows_.end()) return false;
  streams_[stream].window = window->second;
  objects_.Find(stream)->asked_ready = true;
  return true;
}

// Once and for all, so that a wait for an item is not one for the end as well.
void Peer::WantEnd(TaskId stream) {
  v1::PeerFrame frame;
  frame.mutable_want()->add_ids(stream);
  transport_->Send(frame, Urgency::kSoon);
}

void Peer::OnStreamItem(const v1::StreamItem& item) {
  std::unique_lock lock(mutex_);
  auto found = streams_.find(item.task_id());
  if (found == streams_.end()) {
    // The stream was dropped while the item was on its way. Under the lock: see ~Peer.
    if (ended_) return;
    v1::PeerFrame frame;
    frame.mutable_release()->add_ids(item.object_id());
    return transport_->Send(frame, Urgency::kLazy, /*may_block=*/false);
  }
  IncomingStream& stream = found->second;
  if (item.index() != stream.received) {
    lock.unlock();
    return transport_->Break();
  }
  ++stream.received;
  objects_.AddHandle(item.object_id(), /*from_head=*/true);
  objects_.OnReady(item.object_id());
  stream.items.push_back(item.object_id());
  for (std::condition_variable* wake : stream.waiting) wake->notify_one();
}

// --- the consumer --------------------------------------------------------------------------------

// Requires: the mutex is held.
// Returns:  true if NextItem has an answer, were it only that there is no such stream.
bool Peer::HasNext(TaskId id) {
  auto stream = streams_.find(id);
  if (stream == streams_.end() || !stream->second.items.empty() || ended_) return true;
  const CachedObject* end = objects_.Find(id);
  return end == nullptr || end->sealed;
}

bool Peer::HasItem(TaskId id) {
  std::unique_lock lock(mutex_);
  return PollNext(lock, id);
}

// In a worker nobody reads while its task runs, unless it looks.
bool Peer::PollNext(std::unique_lock<std::mutex>& lock, TaskId id) {
  if (HasNext(id)) return true;
  Waiter waiter;
  return transport_->Wait(
      lock, waiter.wake, [&] { return HasNext(id); }, Clock::now());
}

Result<std::optional<ObjectId>> Peer::NextItem(TaskId id, Deadline deadline,
                                               const Interrupted* interrupted) {
  std::unique_lock lock(mutex_);
  // Another thread may have taken the item that ended the wait.
  while (!HasNext(id)) {
    if (Status status = AwaitNext(lock, id, deadline, interrupted); !status.ok()) return status;
  }
  auto found = streams_.find(id);
  const CachedObject* end = objects_.Find(id);
  if (found == streams_.end() || end == nullptr) {
    return Status(Code::kNotFound,
                  FormatRef(id) + " is no stream of this session, or it was dropped");
  }
  IncomingStream& stream = found->second;
  if (stream.items.empty()) {
    return end->sealed ? Result<std::optional<ObjectId>>(std::nullopt) : Disconnected();
  }
  const std::optional<ObjectId> item = stream.items.front();
  stream.items.pop_front();
  if (!stream.report_due()) return item;
  v1::PeerFrame frame;
  frame.mutable_stream_consumed()->set_task_id(id);
  frame.mutable_stream_consumed()->set_count(stream.told = stream.taken());
  lock.unlock();
  transport_->Send(frame, Urgency::kSoon);
  return item;
}

Status Peer::AwaitNext(std::unique_lock<std::mutex>& lock, TaskId id, Deadline deadline,
                       const Interrupted* interrupted) {
  const Status late(Code::kDeadlineExceeded, "no item was there in time");
  if (deadline && *deadline <= Clock::now()) return PollNext(lock, id) ? Status() : late;
  const TaskId task = host_ ? host_->TaskOfThisThread() : 0;
  const uint64_t count = streams_.find(id)->second.received + 1;
  // What ends the head's block, and whatever makes it pointless.
  const auto over = [&] {
    auto stream = streams_.find(id);
    const CachedObject* end = objects_.Find(id);
    return stream == streams_.end() || stream->second.received >= count || end == nullptr ||
           end->sealed || ended_;
  };
  Waiter waiter;
  waiter.missing = 1;  // the end
  const std::vector<ObjectId> ids = {id};
  objects_.StartWaiting(ids, /*for_value=*/false, &waiter);
  streams_.find(id)->second.waiting.push_back(&waiter.wake);
  const bool nests = task != 0 && host_->IsTaskThread();
  Waiter* outer = task_waiter_;
  if (nests) task_waiter_ = &waiter;
  SendAwaitItem(lock, id, count, task);
  const Status status = WaitUntil(lock, waiter, nests, over, deadline, interrupted);
  objects_.StopWaiting(ids, &waiter);
  auto stream = streams_.find(id);
  const bool dropped = stream == streams_.end();
  if (!dropped) std::erase(stream->second.waiting, &waiter.wake);
  if (nests) task_waiter_ = outer;
  if (task != 0) EndBlock(task, /*done=*/over() && !dropped);
  return over() ? Status() : status;
}

// As SendWant does: what else was queued goes out too, and this task's CPU is given back.
void Peer::SendAwaitItem(std::unique_lock<std::mutex>& lock, TaskId stream, uint64_t count,
                         TaskId task) {
  lock.unlock();
  if (task != 0) {
    if (std::vector<TaskId> queue = host_->BeginBlock(); !queue.empty()) SendReturned(queue, false);
    v1::PeerFrame frame;
    frame.mutable_await_item()->set_blocked_task_id(task);
    frame.mutable_await_item()->set_task_id(stream);
    frame.mutable_await_item()->set_count(count);
    transport_->Send(frame, Urgency::kNow);
  } else {
    transport_->Flush();
  }
  lock.lock();
}

void Peer::DropStream(TaskId id) {
  IncomingStream dropped;
  bool tell;
  {
    std::lock_guard lock(mutex_);
    auto found = streams_.find(id);
    if (found == streams_.end()) return;
    dropped = std::move(found->second);
    streams_.erase(found);
    for (std::condition_variable* wake : dropped.waiting) wake->notify_one();
    const CachedObject* end = objects_.Find(id);
    tell = !ended_ && !(end && end->sealed);
  }
  for (ObjectId item : dropped.items) Release(item);
  if (!tell) return;
  v1::PeerFrame frame;
  frame.mutable_stream_consumed()->set_task_id(id);
  frame.mutable_stream_consumed()->set_count(dropped.taken());
  frame.mutable_stream_consumed()->set_dropped(true);
  transport_->Send(frame, Urgency::kSoon, /*may_block=*/false);
}

// --- the producer --------------------------------------------------------------------------------

Status Peer::SendYielded(TaskId task, uint64_t index, const value::Parts& parts) {
  v1::PeerFrame frame;
  v1::Yielded* yielded = frame.mutable_yielded();
  if (Status status = FillResult(parts, yielded->mutable_result()); !status.ok()) return status;
  yielded->set_task_id(task);
  yielded->set_index(index);
  if (yielded->result().has_value()) yielded->set_object_id(NextIds(1));
  transport_->Send(frame, Urgency::kSoon);
  std::lock_guard lock(mutex_);
  return ended_ ? Disconnected() : Status();
}

// The head counts as this side does, and gives the CPU to others by itself.
Status Peer::AwaitConsumer(TaskId task, const std::function<bool()>& has_window,
                           const std::atomic<bool>& cancelled) {
  std::unique_lock lock(mutex_);
  Waiter waiter;
  Waiter* outer = task_waiter_;
  const bool nests = host_->IsTaskThread();
  if (nests) {
    task_waiter_ = &waiter;
  } else {
    producers_.push_back(&waiter);
  }
  lock.unlock();
  if (std::vector<TaskId> queue = host_->BeginBlock(); !queue.empty()) SendReturned(queue, false);
  transport_->Flush();  // the item
  lock.lock();
  const auto over = [&] { return has_window() || cancelled || ended_; };
  (void)WaitUntil(lock, waiter, nests, over, std::nullopt, nullptr);
  if (nests) {
    task_waiter_ = outer;
  } else {
    std::erase(producers_, &waiter);
  }
  EndBlock(task, /*done=*/has_window());
  if (ended_) return Disconnected();
  return cancelled ? Status(Code::kCancelled, "the task was asked to stop") : Status();
}

}  // namespace kiln::peer
