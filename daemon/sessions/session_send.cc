// Frames that go out.
#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "common/log.h"
#include "daemon/sessions/convert.h"
#include "daemon/sessions/session.h"
#include "daemon/sessions/session_table.h"

namespace kiln::sessions {

void Session::Queue(const v1::HeadFrame& frame, bool urgent) {
  if (closing_) return;
  const size_t waiting = channel_->Send(frame, urgent);
  if (waiting > limits::kMaxOutboxBytes) {
    return Close(Status(Code::kResourceExhausted,
                        "the peer does not read: " + std::to_string(waiting) + " bytes queued"));
  }
  if (queued_) return;
  queued_ = true;
  table_->OnQueued(this);
}

void Session::Flush() {
  queued_ = false;
  if (!closing_) channel_->Flush();
}

// The last words go out by the channel's Close, after what is being written.
void Session::SendGoodbye(const std::string& reason) {
  v1::HeadFrame frame;
  frame.mutable_goodbye()->set_reason(reason);
  frame.mutable_goodbye()->set_code(static_cast<int32_t>(Code::kUnavailable));
  Queue(frame, /*urgent=*/true);
  Flush();
  Close(Status(Code::kUnavailable, reason));
}

void Session::FillValue(const core::ObjectView& object, v1::ObjectValue* value) const {
  value->set_id(object.id);
  if (const auto* slice = std::get_if<core::Slice>(object.value)) {
    value->mutable_slice()->set_offset_bytes(slice->offset_bytes);
    value->mutable_slice()->set_size_bytes(slice->size_bytes);
  } else {
    value->set_value(std::get<std::string>(*object.value));
  }
}

void Session::SendRun(const core::RunTask& run) {
  core::Core* core = table_->context().core;
  std::optional<core::TaskView> task = core->FindTask(run.task);
  if (!task) return;  // cancelled since it was decided
  if (told_classes_.insert(task->class_id).second) {
    v1::HeadFrame definition;
    ToProto(*task->task_class, task->class_id, definition.mutable_task_class());
    Queue(definition);
  }
  last_run_ = {task->class_id, task->root};
  v1::HeadFrame& frame = *table_->run_frame();
  v1::Run* out = frame.mutable_run();
  out->Clear();
  out->set_task_id(run.task);
  out->set_class_id(task->class_id);
  out->set_args(*task->args);
  out->set_attempt(task->attempt);
  out->set_nested(run.nested);
  out->set_stream_consumed(task->stream_consumed);
  size_t bytes = task->args->size();
  for (ObjectId ref : task->refs) {
    std::optional<core::ObjectView> object = core->FindObject(ref);
    if (!object || !object->value) continue;
    FillValue(*object, out->add_refs());
    bytes += out->refs(out->refs_size() - 1).value().size();
  }
  if (bytes > static_cast<size_t>(limits::kMaxMessageBytes) / 2) {
    core::TaskOutcome outcome;
    outcome.failed = true;
    outcome.results.push_back(
        {EncodeError({.kind = ErrorKind::kResourceExhausted,
                      .message = "the small values among the arguments have together " +
                                 std::to_string(bytes) +
                                 " bytes, more than one message may; put "
                                 "them into fewer, larger objects",
                      .task = task->task_class->name}),
         {}});
    core->OnTaskFinished(run.worker, run.task, std::move(outcome), Clock::now());
    frame.Clear();
    return;
  }
  Queue(frame);
  if (bytes > limits::kBatchBytes) frame.Clear();  // its memory is not kept
}

void Session::SendRecall(const std::vector<TaskId>& tasks) {
  v1::HeadFrame frame;
  frame.mutable_recall()->mutable_task_ids()->Add(tasks.begin(), tasks.end());
  Queue(frame, /*urgent=*/true);
}

void Session::SendCancelTask(TaskId task) {
  v1::HeadFrame frame;
  frame.mutable_cancel_task()->set_task_id(task);
  Queue(frame, /*urgent=*/true);
}

void Session::SendLeave() {
  v1::HeadFrame frame;
  frame.mutable_leave();
  Queue(frame, /*urgent=*/true);
}

// Of a question by name, or an answer to CreateActor.
void Session::SendActor(uint64_t request_id, const Result<ActorId>& found) {
  v1::HeadFrame frame;
  v1::ActorAnswer* answer = frame.mutable_actor_answer();
  answer->set_request_id(request_id);
  if (found.ok()) {
    answer->set_id(found.value());
    (void)answer->mutable_class_()->ParseFromString(
        *table_->context().core->FindActor(found.value())->handle);
  } else {
    answer->set_code(static_cast<int32_t>(found.status().code()));
    answer->set_error(found.status().message());
  }
  Queue(frame);
}

void Session::SendObject(ObjectId id, bool with_value) {
  if (with_value) {
    std::optional<core::ObjectView> object = table_->context().core->FindObject(id);
    if (!object || !object->value) return SendLost(id, with_value);
    v1::HeadFrame& frame = *table_->object_frame();
    FillValue(*object, frame.mutable_object());
    return Queue(frame);
  }
  v1::HeadFrame frame;
  frame.mutable_ready()->add_ids(id);
  Queue(frame);
}

void Session::SendLost(ObjectId id, bool with_value) {
  v1::HeadFrame frame;
  if (with_value) {
    frame.mutable_object()->set_id(id);
    frame.mutable_object()->set_value(
        EncodeError({.kind = ErrorKind::kObjectLost,
                     .message = "object " + FormatRef(id) +
                                " is unknown to this head: it was released, or "
                                "belongs to another head"}));
  } else {
    frame.mutable_ready()->add_ids(id);
  }
  Queue(frame);
}

void Session::SendStreamItem(const core::HandItem& item) {
  v1::HeadFrame frame;
  frame.mutable_stream_item()->set_task_id(item.task);
  frame.mutable_stream_item()->set_index(item.index);
  frame.mutable_stream_item()->set_object_id(item.object);
  Queue(frame);
}

// The task thread reads by itself while it waits for its consumer.
void Session::SendStreamAdvance(TaskId task, uint64_t count) {
  v1::HeadFrame frame;
  frame.mutable_stream_advance()->set_task_id(task);
  frame.mutable_stream_advance()->set_count(count);
  Queue(frame);
}

void Session::SendCredit(uint64_t tasks, uint64_t bytes) {
  v1::HeadFrame frame;
  frame.mutable_credit()->set_tasks(tasks);
  frame.mutable_credit()->set_bytes(bytes);
  Queue(frame);
}

void Session::SendLogLines(const std::string& task, int64_t pid, std::vector<std::string> lines) {
  v1::HeadFrame frame;
  frame.mutable_log_lines()->set_task(task);
  frame.mutable_log_lines()->set_pid(pid);
  for (std::string& line : lines) frame.mutable_log_lines()->add_lines(std::move(line));
  Queue(frame);
}

}  // namespace kiln::sessions
