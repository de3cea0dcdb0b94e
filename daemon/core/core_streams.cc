// Streaming tasks: items on their way from a task that runs to the session that submitted it.
//
// The consumer sees each index once: what a later attempt produces again is freed. A producer whose
// window is full is blocked by the core itself, by the same count that its worker goes by, so no
// message is needed for it; see docs/scheduling.md, "Streams".
#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {

Status Core::OnYielded(WorkerId worker_id, TaskId task_id, uint64_t index, ObjectId id,
                       TaskResult&& item, Time now) {
  State& state = *state_;
  Worker* worker = state.workers.Find(worker_id);
  if (worker == nullptr) return {};
  Task* task = state.tasks.Find(task_id);
  const bool has_it = task != nullptr && task->worker == worker;
  if (has_it) {
    if (Status status = state.CheckYield(*worker, *task, index, id, item); !status.ok()) {
      return status;
    }
  }
  state.Begin(now);
  if (!has_it) {
    state.DropItem(worker->session, item);
  } else {
    Stream& stream = state.StreamOf(*task);
    ++stream.produced;
    Session* consumer = state.ConsumerOf(*task, stream);
    if (consumer == nullptr || index < stream.handed) {
      state.DropItem(worker->session, item);
    } else {
      Object& object = state.MakeItem(worker->session, id, std::move(item), *consumer);
      ++stream.handed;
      state.Decide(HandItem{consumer->number, task_id, index, object.id});
      state.ResumeConsumers(stream, task_id, /*ended=*/false);
    }
    if (state.WindowIsFull(*task, stream)) state.BlockOnWindow(*task);
  }
  state.Finish();
  return {};
}

Status Core::OnStreamConsumed(SessionNumber session, TaskId task_id, uint64_t count, bool dropped,
                              Time now) {
  State& state = *state_;
  Task* task = state.tasks.Find(task_id);
  if (task == nullptr) return {};
  const TaskClass& task_class = state.classes.Get(task->task_class);
  const auto invalid = [&](const std::string& what) {
    return Status(Code::kInvalidArgument, "stream " + FormatRef(task_id) + ": " + what);
  };
  if (!task_class.streaming) return invalid("the task makes none");
  if (task->session != session) {
    return invalid("session " + std::to_string(session) + " does not consume it");
  }
  const Stream& stream = state.StreamOf(*task);
  if (count > stream.handed) {
    return invalid(std::to_string(count) + " items consumed of " + std::to_string(stream.handed));
  }
  state.Begin(now);
  state.Consume(*task, count, dropped);
  state.Finish();
  return {};
}

void Core::State::Consume(Task& task, uint64_t count, bool dropped) {
  Stream& stream = StreamOf(task);
  const uint64_t told = stream.told();
  stream.consumed = std::max(stream.consumed, count);
  stream.dropped |= dropped;
  const bool bounded = classes.Get(task.task_class).stream_window > 0;
  if (!bounded || !task.worker || stream.told() == told) return;
  if (!task.worker->killed) Decide(AdvanceStream{task.worker->id, task.id, stream.told()});
  ResumeProducer(task, stream);
}

// The session takes no items any more.
void Core::State::DropStreams(const Session& consumer) {
  for (Task* task = consumer.first_task; task; task = task->session_next) {
    if (classes.Get(task->task_class).streaming) Consume(*task, 0, /*dropped=*/true);
  }
}

void Core::OnItemAwaited(SessionNumber session, TaskId blocked_task, TaskId stream_id,
                         uint64_t count, Time now) {
  State& state = *state_;
  Task* task = state.FindBlockable(session, blocked_task);
  const Task* producer = state.tasks.Find(stream_id);
  auto found = state.streams.find(stream_id);
  if (task == nullptr || found == state.streams.end()) return;
  Stream& stream = found->second;
  // Items that are on their way to it end its wait as they come.
  if (producer->session != session || stream.handed >= count) return;
  state.Begin(now);
  stream.waiter = task->worker->id;
  Block block;
  block.number = ++state.last_block;
  block.ids = {stream_id};
  block.needed = 1;
  block.any = true;  // what is nested on it would hold up the next item
  block.stream = stream_id;
  block.items = count;
  state.BlockTask(*task, std::move(block));
  state.Finish();
}

// Requires: the task's class is streaming.
Stream& Core::State::StreamOf(const Task& task) {
  return streams.find(task.id)->second;
}

Status Core::State::CheckYield(const Worker& worker, const Task& task, uint64_t index, ObjectId id,
                               const TaskResult& item) const {
  const auto invalid = [&](const std::string& what) {
    return Status(Code::kInvalidArgument, "stream " + FormatRef(task.id) + ": " + what);
  };
  if (!classes.Get(task.task_class).streaming) return invalid("the task makes none");
  const bool begun =
      task.actor || std::any_of(worker.stack.begin(), worker.stack.end(),
                                [&](const Frame& frame) { return frame.tasks.first() == &task; });
  if (!begun) return invalid("an item of a task that has not begun");
  const uint64_t expected = streams.find(task.id)->second.produced;
  if (index != expected || index >= limits::kMaxStreamItems) {
    return invalid("item " + std::to_string(index) + " in place of " + std::to_string(expected));
  }
  const auto* created = std::get_if<ObjectId>(&item.value);
  if (created == nullptr) return CheckNewObject(worker.session, id);
  const Session* session = sessions.Find(worker.session);
  if (session != nullptr && session->created.contains(*created)) return {};
  return invalid("object " + FormatRef(*created) + " is not being created by session " +
                 std::to_string(worker.session));
}

void Core::State::DropItem(SessionNumber number, const TaskResult& item) {
  const auto* created = std::get_if<ObjectId>(&item.value);
  Session* session = sessions.Find(number);
  if (created == nullptr || session == nullptr) return;
  if (session->created.erase(*created) == 1) Lose(*objects.Find(*created));
}

Object& Core::State::MakeItem(SessionNumber number, ObjectId id, TaskResult&& item,
                              Session& consumer) {
  const auto* created = std::get_if<ObjectId>(&item.value);
  Object* object = created ? objects.Find(*created) : &objects.Insert(id, number);
  Require(object != nullptr, "an object that is being created is unknown");
  Value value;
  if (created) {
    sessions.Find(number)->created.erase(*created);
    objects.ForgetSlice(*object);
    value = std::move(object->content->value);
  } else {
    value = std::get<std::string>(std::move(item.value));
  }
  AddReference(consumer, *object);
  Seal(*object, std::move(value), std::move(item.contained), /*is_error=*/false);
  return *object;
}

Session* Core::State::ConsumerOf(const Task& task, const Stream& stream) {
  if (stream.dropped || objects.Find(task.id)->unwanted()) return nullptr;
  return sessions.FindOpen(task.session);
}

// --- waiting for each other ----------------------------------------------------------------------

// A task that is nested waits for nobody: its consumer may be below it on the stack.
bool Core::State::WindowIsFull(const Task& task, const Stream& stream) const {
  const uint32_t window = classes.Get(task.task_class).stream_window;
  const bool waits =
      task.worker && (task.actor || task.worker->stack.front().tasks.first() == &task);
  return window > 0 && waits && !stream.dropped && stream.produced >= stream.consumed + window;
}

void Core::State::BlockOnWindow(Task& task) {
  Block block;
  block.number = ++last_block;
  block.needed = 1;
  block.window = true;
  BlockTask(task, std::move(block));
}

void Core::State::ResumeProducer(Task& task, const Stream& stream) {
  Block* block = BlockOf(task);
  if (block == nullptr || !block->window || WindowIsFull(task, stream)) return;
  block->needed = 0;
  ResumeIfDone(task);
}

void Core::State::ResumeConsumers(const Stream& stream, TaskId task, bool ended) {
  Worker* worker = stream.waiter ? workers.Find(stream.waiter) : nullptr;
  if (worker == nullptr) return;
  if (worker->actor) {
    std::vector<TaskId> done;
    for (const auto& [id, block] : worker->actor->blocks) {
      if (block.stream == task && (ended || stream.handed >= block.items)) done.push_back(id);
    }
    for (TaskId id : done) ResumeCall(*tasks.Find(id));
    return;
  }
  bool any = false;
  for (Frame& frame : worker->stack) {
    if (!frame.block || frame.block->stream != task) continue;
    if (!ended && stream.handed < frame.block->items) continue;
    frame.block->needed = 0;
    any = true;
  }
  if (any) ResumeInnermost(*worker);
}

// True if a task waits for items to be taken by a driver: that may happen at any time.
bool Core::State::AwaitsDriver() const {
  return std::any_of(streams.begin(), streams.end(), [this](const auto& entry) {
    const Task& task = *tasks.Find(entry.first);
    if (task.state != TaskState::kBlocked || !WindowIsFull(task, entry.second)) return false;
    const Session* consumer = sessions.Find(task.session);
    return consumer->open && consumer->kind == SessionKind::kDriver;
  });
}

// A stream without a reader is of no use to anybody.
void Core::State::NoteForsaken(const Object& end) {
  if (!end.is_group() && classes.Get(end.maker).streaming) forsaken.push_back(end.task());
}

}  // namespace kiln::core
