// Submitting tasks, and what a worker reports about those it runs.
#include <utility>

#include "common/limits.h"
#include "common/peer/peer.h"

namespace kiln::peer {

Result<uint32_t> Peer::ClassIdOf(const v1::TaskClass& task_class) {
  std::string key = task_class.SerializeAsString();
  std::lock_guard lock(mutex_);
  auto [known, inserted] = class_ids_.emplace(key, static_cast<uint32_t>(class_ids_.size() + 1));
  if (!inserted) return known->second;
  if (class_ids_.size() > limits::kMaxClassesPerSession) {
    class_ids_.erase(known);
    return Status(Code::kResourceExhausted,
                  "this session uses more than " + std::to_string(limits::kMaxClassesPerSession) +
                      " different sets of task options; use fewer, or connect anew");
  }
  v1::PeerFrame frame;
  *frame.mutable_task_class() = task_class;
  frame.mutable_task_class()->set_class_id(known->second);
  // Under the lock: no submit of this class may overtake its definition.
  transport_->Send(std::move(frame), Urgency::kSoon, /*may_block=*/false);
  return known->second;
}

// Small values ride in the submit, large ones are put into the store first; the temporary objects
// are released once the submit is queued, which pins them.
Status Peer::AddArguments(std::vector<Argument> arguments, v1::Submit* submit,
                          std::vector<ObjectId>* temporaries) {
  v1::ArgList list;
  for (Argument& argument : arguments) {
    v1::Arg* arg = list.add_args();
    ObjectId ref = argument.ref;
    if (argument.parts) {
      const value::Parts& parts = *argument.parts;
      if (parts.SizeBytes() <= welcome_.inline_limit_bytes()) {
        arg->set_value(parts.ToString());
        for (ObjectId id : parts.contained) submit->add_nested_refs(id);
        continue;
      }
      Result<ObjectId> id = Put(parts);
      if (!id.ok()) return id.status();
      temporaries->push_back(*id);
      ref = *id;
    }
    arg->set_ref_index(static_cast<uint32_t>(submit->refs_size()));
    submit->add_refs(ref);
  }
  submit->set_args(list.SerializeAsString());
  return Status();
}

Status Peer::TakeCredit(std::unique_lock<std::mutex>& lock, size_t bytes, bool block) {
  auto granted = [&] { return (credit_tasks_ > 0 && credit_bytes_ > 0) || ended_; };
  if (!granted()) {
    lock.unlock();
    transport_->Flush();
    lock.lock();
    // Without blocking, a session that is only ahead of the head still waits for its answer.
    transport_->Wait(
        lock, credit_given_, [&] { return granted() || (!block && queue_full_); }, std::nullopt);
  }
  if (ended_) return Disconnected();
  if (!granted()) {
    return Status(Code::kResourceExhausted,
                  "the head's queue is full; wait for results, or submit with block = true");
  }
  --credit_tasks_;
  credit_bytes_ -= static_cast<int64_t>(bytes);
  return Status();
}

Result<std::vector<ObjectId>> Peer::Submit(const v1::TaskClass& task_class,
                                           std::vector<Argument> arguments, bool block) {
  Result<uint32_t> class_id = ClassIdOf(task_class);
  if (!class_id.ok()) return class_id.status();
  v1::PeerFrame frame;
  v1::Submit* submit = frame.mutable_submit();
  std::vector<ObjectId> temporaries;
  Status status = AddArguments(std::move(arguments), submit, &temporaries);
  std::vector<ObjectId> results;
  if (status.ok()) {
    uint32_t count = task_class.num_returns();
    submit->set_task_id(NextIds(count));
    submit->set_class_id(*class_id);
    if (host_) submit->set_parent_task_id(host_->TaskOfThisThread());
    std::unique_lock lock(mutex_);
    status = TakeCredit(lock, submit->args().size(), block);
    if (status.ok()) {
      for (uint32_t i = 0; i < count; ++i) {
        results.push_back(submit->task_id() + i);
        objects_.AddHandle(results.back(), /*from_head=*/true);
      }
    }
  }
  if (status.ok()) transport_->Send(std::move(frame), Urgency::kSoon);
  for (ObjectId id : temporaries) Release(id);
  if (!status.ok()) return status;
  return results;
}

Status Peer::Cancel(ObjectId id, bool force) {
  v1::PeerFrame frame;
  frame.mutable_cancel()->set_id(id);
  frame.mutable_cancel()->set_force(force);
  transport_->Send(std::move(frame), Urgency::kNow);
  std::lock_guard lock(mutex_);
  return ended_ ? Disconnected() : Status();
}

// --- a worker's reports --------------------------------------------------------------------------

Status Peer::FillResult(const value::Parts& parts, v1::TaskResult* result) {
  for (ObjectId id : parts.contained) result->add_contained(id);
  size_t size_bytes = parts.SizeBytes();
  if (!parts.room && size_bytes <= welcome_.inline_limit_bytes()) {
    result->set_value(parts.ToString());
    return Status();
  }
  std::shared_ptr<Room> room = std::dynamic_pointer_cast<Room>(parts.room);
  if (!room) {
    Result<std::shared_ptr<Room>> made = Create(size_bytes);
    if (!made.ok()) return made.status();
    room = *made;
  }
  parts.WriteTo(room->data());
  if (!room->in_store()) {
    result->set_value(room->bytes());
    return Status();
  }
  room->Close();
  result->set_created_id(room->id());
  return Status();
}

Result<value::SharedBytes> Peer::Borrow(v1::ObjectValue value) {
  if (!value.has_slice()) {
    auto bytes = std::make_shared<const std::string>(std::move(*value.mutable_value()));
    const std::byte* data = reinterpret_cast<const std::byte*>(bytes->data());
    size_t size_bytes = bytes->size();
    return value::SharedBytes{std::move(bytes), data, size_bytes};
  }
  const v1::Slice& slice = value.slice();
  if (!segment_->Contains(slice.offset_bytes(), slice.size_bytes())) {
    return Status(Code::kDataLoss, "the head sent an argument that lies outside the store");
  }
  // A handle of its own: the function may keep the array longer than its task lives.
  CachedObject object;
  object.slice = CachedSlice{slice.offset_bytes(), slice.size_bytes()};
  return Share(value.id(), object);
}

void Peer::SendFinished(v1::Finished finished, bool more) {
  v1::PeerFrame frame;
  *frame.mutable_finished() = std::move(finished);
  transport_->Send(std::move(frame), more ? Urgency::kSoon : Urgency::kNow);
}

void Peer::SendReturned(std::span<const TaskId> tasks, bool leaving) {
  v1::PeerFrame frame;
  for (TaskId task : tasks) frame.mutable_returned()->add_task_ids(task);
  frame.mutable_returned()->set_leaving(leaving);
  transport_->Send(std::move(frame), Urgency::kNow, /*may_block=*/false);
}

}  // namespace kiln::peer
