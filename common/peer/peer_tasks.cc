// Submitting tasks, and what a worker reports about those it runs.
#include <utility>

#include "common/limits.h"
#include "common/peer/peer.h"

namespace kiln::peer {
namespace {

// A thread keeps the memory of this many arguments from one submit to the next.
constexpr int kArgsKept = 64;

}  // namespace

Result<uint32_t> Peer::Define(const v1::TaskClass& task_class) {
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
  if (task_class.streaming()) stream_windows_[known->second] = task_class.stream_window();
  v1::PeerFrame frame;
  *frame.mutable_task_class() = task_class;
  frame.mutable_task_class()->set_class_id(known->second);
  // Under the lock: no submit of this class may overtake its definition.
  transport_->Send(frame, Urgency::kSoon, /*may_block=*/false);
  return known->second;
}

// Small values ride in the submit, large ones are put into the store first; the temporary objects
// are released once the submit is queued, which pins them.
Status Peer::AddArguments(std::vector<Argument> arguments, std::span<const std::string> keywords,
                          v1::Submit* submit, std::vector<ObjectId>* temporaries) {
  // Kept with its memory: a submit shall not allocate what the last one has freed.
  thread_local v1::ArgList list;
  list.Clear();
  for (Argument& argument : arguments) {
    v1::Arg* arg = list.add_args();
    ObjectId ref = argument.ref;
    if (argument.parts) {
      const value::Parts& parts = *argument.parts;
      const size_t size_bytes = parts.SizeBytes();
      if (size_bytes <= welcome_.inline_limit_bytes()) {
        arg->mutable_value()->resize(size_bytes);
        parts.WriteTo(reinterpret_cast<std::byte*>(arg->mutable_value()->data()));
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
  for (const std::string& keyword : keywords) list.add_keywords(keyword);
  list.SerializeToString(submit->mutable_args());
  if (list.args_size() > kArgsKept) v1::ArgList().Swap(&list);
  return Status();
}

Status Peer::TakeCredit(std::unique_lock<std::mutex>& lock, size_t bytes, bool block,
                        const Interrupted* interrupted) {
  auto granted = [&] { return (credit_tasks_ > 0 && credit_bytes_ > 0) || ended_; };
  if (!granted()) {
    lock.unlock();
    transport_->Flush();
    lock.lock();
    // Without blocking, a session that is only ahead of the head still waits for its answer.
    Status status = WaitFor(
        lock, credit_given_, [&] { return granted() || (!block && queue_full_); }, std::nullopt,
        interrupted);
    if (!status.ok()) return status;
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

Result<ObjectId> Peer::Submit(uint32_t class_id, uint32_t num_returns,
                              std::vector<Argument> arguments, const SubmitOptions& options) {
  thread_local v1::PeerFrame frame;  // as above
  v1::Submit* submit = frame.mutable_submit();
  submit->Clear();
  std::vector<ObjectId> temporaries;
  const ObjectId first = NextIds(num_returns);
  bool streaming = false;
  Status status = FillSubmit(first, class_id, std::move(arguments), options, submit, &temporaries);
  if (status.ok()) {
    std::unique_lock lock(mutex_);
    status = TakeCredit(lock, submit->args().size(), options.block, options.interrupted);
    if (status.ok()) {
      for (uint32_t i = 0; i < num_returns; ++i) {
        objects_.AddHandle(first + i, /*from_head=*/true);
      }
      if (!stream_windows_.empty()) streaming = OpenStream(class_id, first);
    }
  }
  if (status.ok()) transport_->Send(frame, Urgency::kSoon);
  if (streaming) WantEnd(first);
  for (ObjectId id : temporaries) Release(id);
  if (!status.ok()) return status;
  return first;
}

Status Peer::FillSubmit(TaskId task, uint32_t class_id, std::vector<Argument> arguments,
                        const SubmitOptions& options, v1::Submit* submit,
                        std::vector<ObjectId>* temporaries) {
  Status status = AddArguments(std::move(arguments), options.keywords, submit, temporaries);
  if (options.keep != 0) submit->add_nested_refs(options.keep);
  submit->set_task_id(task);
  submit->set_class_id(class_id);
  if (host_) submit->set_parent_task_id(host_->TaskOfThisThread());
  submit->set_actor_id(options.actor);
  return status;
}

Status Peer::Cancel(ObjectId id, bool force) {
  v1::PeerFrame frame;
  frame.mutable_cancel()->set_id(id);
  frame.mutable_cancel()->set_force(force);
  transport_->Send(frame, Urgency::kNow);
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

Result<value::SharedBytes> Peer::Borrow(const v1::ObjectValue& value) {
  if (!value.has_slice()) {
    return value::CopyBytes(value.value());
  }
  const v1::Slice& slice = value.slice();
  if (!segment_->Contains(slice.offset_bytes(), slice.size_bytes())) {
    return Status(Code::kDataLoss, "the head sent an argument that lies outside the store");
  }
  // A handle of its own: the function may keep the array longer than its task lives.
  return Share(value.id(), {slice.offset_bytes(), slice.size_bytes()});
}

void Peer::SendFinished(v1::Finished finished, bool more) {
  v1::PeerFrame frame;
  *frame.mutable_finished() = std::move(finished);
  transport_->Send(frame, more ? Urgency::kSoon : Urgency::kNow);
}

void Peer::SendReturned(std::span<const TaskId> tasks, bool leaving) {
  v1::PeerFrame frame;
  for (TaskId task : tasks) frame.mutable_returned()->add_task_ids(task);
  frame.mutable_returned()->set_leaving(leaving);
  transport_->Send(frame, Urgency::kNow, /*may_block=*/false);
}

}  // namespace kiln::peer
