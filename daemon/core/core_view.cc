// Reading: what the head needs to carry decisions out and to list state. Changes nothing.
#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "common/nearest.h"
#include "daemon/core/core_state.h"
#include "daemon/core/group_resources.h"

namespace kiln::core {
namespace {

ObjectView ViewOf(const Object& object) {
  ObjectView view{};
  view.id = object.id;
  view.state = object.state == ObjectState::kPending   ? ObjectView::State::kPending
               : object.state == ObjectState::kCreated ? ObjectView::State::kCreated
                                                       : ObjectView::State::kSealed;
  view.value = object.content ? &object.content->value : nullptr;
  view.is_error = object.is_error;
  view.references = object.references + object.pins;
  view.creator = object.creator;
  view.task = object.task();
  return view;
}

TaskRow RowOf(const EndedTask& ended, const TaskClass& task_class) {
  TaskRow row{};
  row.id = ended.id;
  row.name = task_class.name;
  row.state = Name(ended.state);
  row.detail = ended.detail;
  row.worker_pid = ended.pid;
  row.session = task_class.detached ? kHeadSession : ended.session;
  row.attempt = ended.attempt;
  row.priority = task_class.priority;
  row.run_time = ended.run_time;
  row.submitted = ended.submitted;
  row.ended = ended.ended;
  return row;
}

TaskRow RowOf(const Task& task, const TaskClass& task_class, std::string detail) {
  TaskRow row{};
  row.id = task.id;
  row.name = task_class.name;
  row.state = Name(task.state);
  row.detail = std::move(detail);
  row.worker = task.worker ? task.worker->id : 0;
  row.session = task_class.detached ? kHeadSession : task.session;
  row.attempt = task.attempt;
  row.priority = task_class.priority;
  row.submitted = task.submitted;
  return row;
}

}  // namespace

std::string Core::State::WaitsFor(const Task& task) const {
  if (task.state == TaskState::kWaiting) {
    return "waits for " + std::to_string(task.arguments->unsealed) + " arguments";
  }
  if (task.state != TaskState::kReady) return {};
  if (task.is_call) {
    return task.actor->state == ActorState::kAlive ? "waits for its turn" : "waits for its actor";
  }
  const Shape& shape = classes.ShapeOfClass(task.task_class);
  if (shape.grouped && !shape.resources.FitsIn(free)) {
    const Group* group = groups.Find(classes.Get(task.task_class).placement_group);
    const bool there = group && group->state == GroupState::kCreated;
    return there ? "waits for room in its placement group" : "waits for its placement group";
  }
  const std::string lacking = shape.resources.FirstLacking(free);
  if (!lacking.empty()) return "waits for " + lacking;
  const Program& program = workers.programs().at(shape.program);
  if (!program.failure.empty()) return "waits for a worker: " + program.failure;
  return "waits for a worker";
}

bool Core::AllBusy() const {
  return state_->workers.in_state(WorkerState::kBusy) >= state_->options.num_workers;
}

std::optional<TaskView> Core::FindTask(TaskId id) const {
  const Task* task = state_->tasks.Find(id);
  if (task == nullptr) return std::nullopt;
  TaskView view{};
  view.id = id;
  view.task_class = &state_->classes.Get(task->task_class);
  view.class_id = task->task_class;
  view.args = &task->args;
  if (task->arguments) view.refs = {task->arguments->ids.data(), task->arguments->refs};
  view.attempt = task->attempt;
  view.session = task->session;
  view.root = task->root;
  if (view.task_class->streaming) view.stream_consumed = state_->StreamOf(*task).told();
  return view;
}

std::optional<TaskView> Core::FindRunningTask(WorkerId id) const {
  const Worker* worker = state_->workers.Find(id);
  if (worker == nullptr || worker->stack.empty()) return std::nullopt;
  return FindTask(worker->stack.back().tasks.first()->id);
}

std::optional<ObjectView> Core::FindObject(ObjectId id) const {
  const Object* object = state_->objects.Find(id);
  if (object == nullptr) return std::nullopt;
  return ViewOf(*object);
}

// --- actors --------------------------------------------------------------------------------------

std::string Core::State::LabelOf(const Actor& actor) const {
  return actor.repr.empty() ? classes.Get(actor.creation).name : actor.repr;
}

std::optional<ActorView> Core::FindActor(ActorId id) const {
  const Actor* actor = state_->actors.Find(id);
  if (actor == nullptr) return std::nullopt;
  return ActorView{id, actor->state == ActorState::kDead, actor->root, &actor->handle,
                   state_->LabelOf(*actor)};
}

std::optional<ActorId> Core::FindActor(const std::string& name_space,
                                       const std::string& name) const {
  const Actor* actor = state_->actors.FindNamed(name_space, name);
  if (actor == nullptr) return std::nullopt;
  return actor->id;
}

std::optional<ActorView> Core::FindHosted(WorkerId id) const {
  const Worker* worker = state_->workers.Find(id);
  if (worker == nullptr || worker->actor == nullptr) return std::nullopt;
  return FindActor(worker->actor->id);
}

bool Core::AnyActorStarts() const {
  return state_->actors.in_state(ActorState::kPending) > 0 ||
         state_->actors.in_state(ActorState::kRestarting) > 0;
}

std::vector<ActorRow> Core::ListActors() const {
  std::vector<ActorRow> rows(state_->actors.forgotten().begin(), state_->actors.forgotten().end());
  for (const auto& [id, actor] : state_->actors.all()) rows.push_back(state_->RowOf(actor));
  std::stable_sort(rows.begin(), rows.end(),
                   [](const ActorRow& a, const ActorRow& b) { return a.created > b.created; });
  return rows;
}

std::string Core::DescribeMissingActor(const std::string& name_space,
                                       const std::string& name) const {
  const auto place = [](const std::string& of) {
    return of.empty() ? std::string("without a namespace") : "in namespace " + of;
  };
  const std::string text =
      "there is no actor named " + name + (name_space.empty() ? "" : " " + place(name_space));
  std::vector<std::string> others;
  for (const ActorRow& row : ListActors()) {  // newest first
    const bool dead = row.state == Name(ActorState::kDead);
    if (row.name == name && row.name_space == name_space) {
      return text + "; the last one of that name is dead: " + row.detail;
    }
    if (row.name == name && !dead) return text + "; there is one " + place(row.name_space);
    if (row.name_space == name_space && !dead && !row.name.empty()) others.push_back(row.name);
  }
  const std::string nearest = Nearest(name, others);
  return text + (nearest.empty() ? "; `kiln list actors` shows those there are"
                                 : "; did you mean " + nearest + "?");
}

// --- objects -------------------------------------------------------------------------------------

std::vector<ObjectView> Core::BiggestObjects(size_t limit) const {
  std::vector<ObjectView> biggest;
  if (limit == 0) return biggest;
  state_->objects.VisitBiggest([&](const Object& object) {
    biggest.push_back(ViewOf(object));
    return biggest.size() < limit;
  });
  return biggest;
}

std::string Core::MakerName(ObjectId id) const {
  const Object* object = state_->objects.Find(id);
  if (object == nullptr || object->maker >= kGroupMaker) return {};
  return state_->classes.Get(object->maker).name;
}

Totals Core::GetTotals() const {
  const State& state = *state_;
  Totals totals{};
  totals.total = state.options.total;
  totals.used = state.options.total;
  totals.used.Subtract(WithoutGroups(state.free));  // what they reserve is used
  totals.workers = static_cast<uint32_t>(state.workers.alive());
  totals.workers_idle = static_cast<uint32_t>(state.workers.in_state(WorkerState::kIdle));
  totals.workers_blocked = static_cast<uint32_t>(state.workers.in_state(WorkerState::kBlocked));
  for (const auto& [number, session] : state.sessions.all()) {
    const bool driver = session.kind == SessionKind::kDriver && number != kHeadSession;
    if (driver && session.open) ++totals.drivers;
  }
  totals.tasks_waiting = state.tasks.in_state(TaskState::kWaiting);
  totals.tasks_ready = state.tasks.in_state(TaskState::kReady);
  totals.tasks_running =
      state.tasks.in_state(TaskState::kAssigned) + state.tasks.in_state(TaskState::kBlocked);
  totals.tasks_failed =
      state.tasks.in_state(TaskState::kFailed) + state.tasks.in_state(TaskState::kCancelled);
  totals.tasks_finished = state.tasks.in_state(TaskState::kFinished) + totals.tasks_failed;
  totals.queued_bytes = state.queued_bytes;
  totals.objects = state.objects.size();
  totals.actors = static_cast<uint32_t>(state.actors.alive());
  totals.actors_starting = static_cast<uint32_t>(state.actors.in_state(ActorState::kPending) +
                                                 state.actors.in_state(ActorState::kRestarting));
  for (const auto& [id, program] : state.workers.programs()) {
    if (!program.failure.empty()) totals.worker_failures.push_back(program.failure);
  }
  return totals;
}

void Core::VisitTasks(const std::function<bool(const TaskRow&)>& visit) const {
  const State& state = *state_;
  // Each session's list is in order of submission: merge them from their ends.
  const auto older = [](const Task* a, const Task* b) { return a->sequence < b->sequence; };
  std::vector<const Task*> newest;
  for (const auto& [number, session] : state.sessions.all()) {
    if (session.last_task) newest.push_back(session.last_task);
  }
  std::make_heap(newest.begin(), newest.end(), older);
  while (!newest.empty()) {
    std::pop_heap(newest.begin(), newest.end(), older);
    const Task& task = *newest.back();
    newest.pop_back();
    if (task.session_previous) {
      newest.push_back(task.session_previous);
      std::push_heap(newest.begin(), newest.end(), older);
    }
    std::string detail = state.WaitsFor(task);
    if (!visit(RowOf(task, state.classes.Get(task.task_class), std::move(detail)))) return;
  }
  state.tasks.VisitEnded([&](const EndedTask& ended) {
    return visit(RowOf(ended, state.classes.Get(ended.task_class)));
  });
}

void Core::VisitObjects(const std::function<bool(const ObjectView&)>& visit) const {
  bool more = true;
  state_->objects.ForEach([&](const Object& object) {
    if (more) more = visit(ViewOf(object));
  });
}

std::vector<WorkerRow> Core::ListWorkers() const {
  std::vector<WorkerRow> rows;
  for (const auto& [id, worker] : state_->workers.all()) {
    WorkerRow row{};
    row.id = id;
    row.state = Name(worker.state);
    row.program = worker.program;
    if (worker.actor) {
      row.task = state_->LabelOf(*worker.actor);
    } else if (!worker.stack.empty()) {
      row.task = state_->classes.Get(worker.stack.back().tasks.first()->task_class).name;
    }
    row.assigned = worker.assigned;
    row.finished = worker.finished;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<SessionRow> Core::ListSessions() const {
  std::vector<SessionRow> rows;
  for (const auto& [number, session] : state_->sessions.all()) {
    if (!session.open) continue;
    rows.push_back({number, session.kind, session.tasks, session.reference_count});
  }
  return rows;
}

}  // namespace kiln::core
