// Putting, getting and waiting for objects, and counting refs to them.
#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "common/peer/peer.h"

namespace kiln::peer {
void Peer::Retain(ObjectId id) {
  bool tell;
  {
    std::lock_guard lock(mutex_);
    tell = objects_.AddHandle(id, /*from_head=*/false);
  }
  if (!tell) return;
  v1::PeerFrame frame;
  frame.mutable_retain()->add_ids(id);
  transport_->Send(frame, Urgency::kLazy, /*may_block=*/false);
}

// Room in the store is given back at once, for others may wait for it.
void Peer::Release(ObjectId id) {
  uint32_t references;
  bool in_store;
  {
    std::lock_guard lock(mutex_);
    const CachedObject* object = objects_.Find(id);
    in_store = object && object->slice;
    references = objects_.DropHandle(id);
    if (ended_) return;
  }
  if (references == 0) return;
  v1::PeerFrame frame;
  for (uint32_t i = 0; i < references; ++i) frame.mutable_release()->add_ids(id);
  transport_->Send(frame, in_store ? Urgency::kSoon : Urgency::kLazy,
                   /*may_block=*/false);
}

// --- put -----------------------------------------------------------------------------------------

ObjectId Peer::PutInline(value::SharedBytes bytes, const std::vector<ObjectId>& contained) {
  v1::PeerFrame frame;
  v1::Put* put = frame.mutable_put();
  ObjectId id = NextIds(1);
  put->set_id(id);
  put->set_value(bytes.data, bytes.size_bytes);
  for (ObjectId inner : contained) put->add_contained(inner);
  {
    std::lock_guard lock(mutex_);
    objects_.AddHandle(id, /*from_head=*/true);
    objects_.OnValue(id, std::move(bytes));
  }
  transport_->Send(frame, Urgency::kSoon);
  return id;
}

Result<ObjectId> Peer::Put(const value::Parts& parts) {
  if (auto room = std::dynamic_pointer_cast<Room>(parts.room)) {
    parts.WriteTo(room->data());
    return Seal(*room, parts.contained);
  }
  size_t size_bytes = parts.SizeBytes();
  if (size_bytes <= welcome_.inline_limit_bytes()) {
    {
      std::lock_guard lock(mutex_);
      if (ended_) return Disconnected();
    }
    return PutInline(parts.ToBytes(), parts.contained);
  }
  Result<std::shared_ptr<Room>> room = Create(size_bytes);
  if (!room.ok()) return room.status();
  parts.WriteTo((*room)->data());
  return Seal(**room, parts.contained);
}

Result<std::shared_ptr<Room>> Peer::Create(size_t size_bytes) {
  if (size_bytes <= welcome_.inline_limit_bytes()) return std::make_shared<Room>(size_bytes);
  ObjectId id = NextIds(1);
  v1::PeerFrame frame;
  frame.mutable_create()->set_id(id);
  frame.mutable_create()->set_size_bytes(size_bytes);
  v1::Created answer;
  {
    std::lock_guard lock(mutex_);
    if (ended_) return Disconnected();
    creating_.emplace(id, &answer);
  }
  transport_->Send(frame, Urgency::kNow);
  {
    std::unique_lock lock(mutex_);
    transport_->Wait(
        lock, created_, [&] { return !creating_.contains(id) || ended_; }, std::nullopt);
    if (creating_.erase(id) > 0) return Disconnected();
  }
  if (!answer.has_slice()) return Status(Code::kResourceExhausted, answer.error());
  CachedSlice slice{answer.slice().offset_bytes(), answer.slice().size_bytes()};
  if (slice.size_bytes != size_bytes || slice.offset_bytes % shm::kPageBytes != 0 ||
      !segment_->Contains(slice.offset_bytes, slice.size_bytes)) {
    return Status(Code::kDataLoss, "the head gave room that lies outside the store");
  }
  Result<std::byte*> data = segment_->BeginWrite(slice.offset_bytes, slice.size_bytes);
  if (!data.ok()) {
    Abort(id);
    return data.status();
  }
  return std::make_shared<Room>(shared_from_this(), id, slice, *data);
}

Result<ObjectId> Peer::Seal(Room& room, std::vector<ObjectId> contained) {
  {
    std::lock_guard lock(mutex_);
    if (ended_) return Disconnected();
  }
  if (!room.in_store()) return PutInline(value::CopyBytes(room.bytes()), contained);
  room.Close();
  v1::PeerFrame frame;
  frame.mutable_seal()->set_id(room.id());
  for (ObjectId inner : contained) frame.mutable_seal()->add_contained(inner);
  {
    std::lock_guard lock(mutex_);
    objects_.AddHandle(room.id(), /*from_head=*/true);
    objects_.OnValue(room.id(), room.slice());
  }
  transport_->Send(frame, Urgency::kSoon);
  return room.id();
}

void Peer::Abort(ObjectId id) {
  v1::PeerFrame frame;
  frame.mutable_abort()->set_id(id);
  transport_->Send(frame, Urgency::kLazy, /*may_block=*/false);
}

// --- get and wait --------------------------------------------------------------------------------

// A handle of its own keeps the pages while anybody looks at them.
value::SharedBytes Peer::Share(ObjectId id, const CachedSlice& slice) {
  Retain(id);
  const std::byte* data = segment_->data() + slice.offset_bytes;
  std::shared_ptr<const void> pin(
      data, [self = shared_from_this(), id](const void*) { self->Release(id); });
  return {std::move(pin), data, slice.size_bytes};
}

Result<std::vector<value::SharedBytes>> Peer::Get(std::span<const ObjectId> ids, Deadline deadline,
                                                  const Interrupted* interrupted) {
  std::vector<value::SharedBytes> values;
  values.reserve(ids.size());
  std::vector<std::pair<size_t, CachedSlice>> slices;
  {
    std::unique_lock lock(mutex_);
    Status status = Await(lock, ids, /*for_value=*/true, ids.size(), deadline, interrupted);
    if (!status.ok()) return status;
    for (ObjectId id : ids) {
      const CachedObject* object = objects_.Find(id);
      if (object->slice) slices.emplace_back(values.size(), *object->slice);
      values.push_back(object->bytes);
    }
  }
  for (const auto& [at, slice] : slices) values[at] = Share(ids[at], slice);
  return values;
}

// Looks no further than it must: who waits for one of 10,000 again and again finds the next one at
// the front, as a rule.
Result<std::vector<size_t>> Peer::Wait(size_t count, const std::function<ObjectId(size_t)>& id_at,
                                       size_t needed, Deadline deadline,
                                       const Interrupted* interrupted) {
  std::vector<size_t> sealed;
  std::unique_lock lock(mutex_);
  const auto look = [&] {
    sealed.clear();
    for (size_t i = 0; i < count && sealed.size() < needed; ++i) {
      if (objects_.Find(id_at(i))->sealed) sealed.push_back(i);
    }
    return sealed.size() >= needed;
  };
  if (look()) return sealed;
  std::vector<ObjectId> ids;
  ids.reserve(count);
  for (size_t i = 0; i < count; ++i) ids.push_back(id_at(i));
  Status status = Await(lock, ids, /*for_value=*/false, needed, deadline, interrupted);
  if (!status.ok() && status.code() != Code::kDeadlineExceeded) return status;
  look();
  return sealed;
}

Status Peer::Await(std::unique_lock<std::mutex>& lock, std::span<const ObjectId> ids,
                   bool for_value, size_t needed, Deadline deadline,
                   const Interrupted* interrupted) {
  size_t there = 0;  // a wait for few of many stops looking when it has them
  for (auto id = ids.begin(); id != ids.end() && there < needed; ++id) {
    const CachedObject* object = objects_.Find(*id);
    there += for_value ? object->has_value() : object->sealed;
  }
  if (there >= needed) return Status();
  if (ended_) return Disconnected();

  Waiter waiter;
  std::vector<ObjectId> pending = objects_.StartWaiting(ids, for_value, &waiter);
  // An object named twice counts once among the missing.
  waiter.missing = std::min(needed - there, pending.size());
  const TaskId task = host_ ? host_->TaskOfThisThread() : 0;
  const bool nests = task != 0 && host_->IsTaskThread();
  Waiter* outer = task_waiter_;
  if (nests) task_waiter_ = &waiter;
  SendWant(lock, pending, for_value, task, waiter.missing);
  Status status = WaitUntilDone(lock, waiter, nests, deadline, interrupted);
  if (status.code() == Code::kDeadlineExceeded) status = Late(ids, for_value);
  objects_.StopWaiting(pending, &waiter);
  if (nests) task_waiter_ = outer;
  if (task != 0) EndBlock(task, status.ok());
  return status;
}

Status Peer::Late(std::span<const ObjectId> ids, bool for_value) {
  std::vector<ObjectId> late;
  for (ObjectId id : ids) {
    const CachedObject* object = objects_.Find(id);
    if (!(for_value ? object->has_value() : object->sealed)) late.push_back(id);
  }
  std::string text = std::to_string(late.size()) + " of " + std::to_string(ids.size()) +
                     " objects were not there in time";
  if (late.size() == 1 && ids.size() == 1)
    text = FormatRef(late.front()) + " was not there in time";
  if (late.size() > 0 && ids.size() > 1) text += ", such as " + FormatRef(late.front());
  return Status(Code::kDeadlineExceeded,
                text + "; `kiln list tasks` and `kiln list actors` say what is waited for");
}

// Nested tasks that came too late to be run here go back.
void Peer::EndBlock(TaskId task, bool done) {
  if (std::vector<TaskId> late = host_->EndBlock(); !late.empty()) SendReturned(late, false);
  if (done || ended_) return;
  v1::PeerFrame frame;
  frame.mutable_unblock()->set_blocked_task_id(task);
  transport_->Send(frame, Urgency::kSoon, /*may_block=*/false);
}

// Outside of a task only what was not asked for yet is wanted: each object is told once. A task
// names all it waits for, so that the head knows when it goes on.
void Peer::SendWant(std::unique_lock<std::mutex>& lock, const std::vector<ObjectId>& pending,
                    bool for_value, TaskId task, size_t needed) {
  v1::PeerFrame frame;
  v1::Want* want = frame.mutable_want();
  for (ObjectId id : pending) {
    CachedObject* object = objects_.Find(id);
    bool& asked = for_value ? object->asked_value : object->asked_ready;
    if (!asked || task != 0) want->add_ids(id);
    asked = true;
  }
  want->set_values(for_value);
  want->set_blocked_task_id(task);
  want->set_needed(static_cast<uint32_t>(needed));
  lock.unlock();  // writing may take a while, and answers may come before it returns
  if (task != 0) {
    if (std::vector<TaskId> queue = host_->BeginBlock(); !queue.empty()) SendReturned(queue, false);
  }
  if (want->ids_size() > 0) {
    transport_->Send(frame, Urgency::kNow);
  } else {
    transport_->Flush();
  }
  lock.lock();
}

Status Peer::WaitUntilDone(std::unique_lock<std::mutex>& lock, Waiter& waiter, bool in_task,
                           Deadline deadline, const Interrupted* interrupted) {
  const auto there = [&] { return waiter.missing == 0 || ended_; };
  Status status = WaitUntil(lock, waiter, in_task, there, deadline, interrupted);
  return status.ok() && waiter.missing > 0 ? Disconnected() : status;
}

Status Peer::WaitUntil(std::unique_lock<std::mutex>& lock, Waiter& waiter, bool in_task,
                       const std::function<bool()>& there, Deadline deadline,
                       const Interrupted* interrupted) {
  const auto done = [&] { return there() || (in_task && host_->HasNested()); };
  while (true) {
    if (Status status = WaitFor(lock, waiter.wake, done, deadline, interrupted); !status.ok()) {
      return status;
    }
    if (there()) return Status();
    lock.unlock();
    host_->RunNested();
    lock.lock();
  }
}

Status Peer::WaitFor(std::unique_lock<std::mutex>& lock, std::condition_variable& wake,
                     const std::function<bool()>& done, Deadline deadline,
                     const Interrupted* interrupted) {
  while (true) {
    Deadline look = deadline;
    if (interrupted) {
      const Time soon = Clock::now() + limits::kInterruptPoll;
      look = deadline ? std::min(*deadline, soon) : soon;
    }
    if (transport_->Wait(lock, wake, done, look)) return Status();
    if (deadline && Clock::now() >= *deadline) {
      return Status(Code::kDeadlineExceeded, "not all objects were there in time");
    }
    if (!interrupted) continue;
    lock.unlock();
    const bool stop = (*interrupted)();
    lock.lock();
    if (stop && !done()) return Status(Code::kCancelled, "the wait was interrupted");
  }
}

}  // namespace kiln::peer
