// Tasks from submit to end.
#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {

Result<ClassId> Core::InternClass(TaskClass task_class) {
  return state_->classes.Intern(std::move(task_class));
}

const TaskClass& Core::GetClass(ClassId id) const {
  return state_->classes.Get(id);
}

Status Core::OnTaskSubmitted(TaskSpec spec, Time now) {
  State& state = *state_;
  if (Status status = state.CheckSpec(spec); !status.ok()) return status;
  if (state.classes.Get(spec.task_class).actor) {
    return Status(Code::kInvalidArgument,
                  "task " + FormatRef(spec.id) + ": its class makes an actor");
  }
  state.Begin(now);
  Actor* actor = spec.actor ? state.actors.Find(spec.actor) : nullptr;
  std::vector<ObjectId> refs = std::exchange(spec.refs, {});
  std::vector<ObjectId> nested_refs = std::exchange(spec.nested_refs, {});
  Task& task = state.InsertTask(std::move(spec));
  Session& session = *state.sessions.Find(task.session);
  state.UseCredit(session, task.args.size());
  const ObjectId unknown = state.PinArguments(task, std::move(refs), nested_refs);
  const TaskClass& task_class = state.classes.Get(task.task_class);
  if (actor && actor->state != ActorState::kDead) {
    task.actor = actor;
    task.is_call = true;
    state.Pin(*state.objects.Find(actor->id));
    state.Enqueue(task);
  }
  if (std::optional<ErrorInfo> error = state.WhyNeverRuns(task, unknown)) {
    state.FailTask(task, std::move(*error));
  } else if (task_class.method && !task.actor) {
    ErrorInfo death = state.MakeError(
        task, ErrorKind::kActorDied, "the actor is unknown: it is dead, and nobody referred to it");
    state.FailTask(task, actor ? state.ForCall(task, actor->death) : std::move(death));
  } else if (session.kind == SessionKind::kWorker && state.OverTwiceFull()) {
    state.FailTask(task, state.MakeError(task, ErrorKind::kResourceExhausted,
                                         "too many tasks or bytes of arguments are queued: " +
                                             std::to_string(state.tasks.size()) + " tasks, " +
                                             std::to_string(state.queued_bytes) + " bytes"));
  } else {
    state.AwaitArguments(task);
  }
  state.Finish();
  return {};
}

std::optional<ErrorInfo> Core::State::WhyNeverRuns(const Task& task, ObjectId unknown) const {
  if (!sessions.Find(task.root)->open) {
    return MakeError(task, ErrorKind::kCancelled, "the session it belongs to has ended");
  }
  if (unknown != 0) {
    return MakeError(
        task, ErrorKind::kObjectLost,
        "argument " + FormatRef(unknown) + " is unknown: it was released or never made");
  }
  if (task.is_call && !KnowsGroup(task)) {
    return MakeError(task, ErrorKind::kInvalidArguments,
                     "the actor " + LabelOf(*task.actor) + " has no concurrency group " +
                         classes.Get(task.task_class).group);
  }
  std::string never = NeverFits(classes.Get(task.task_class));
  if (never.empty()) return std::nullopt;
  return MakeError(task, ErrorKind::kUnschedulable, std::move(never));
}

void Core::OnTaskFinished(WorkerId worker_id, TaskId task_id, TaskOutcome&& outcome, Time now) {
  State& state = *state_;
  state.Begin(now);
  Worker* worker = state.workers.Find(worker_id);
  Task* task = state.tasks.Find(task_id);
  if (worker == nullptr || task == nullptr || task->worker != worker) {
    if (worker) state.DropCreated(worker->session, outcome);
  } else {
    ++worker->finished;
    worker->progress = now;
    state.FinishTask(*task, outcome);
  }
  state.Finish();
}

void Core::OnTasksReturned(WorkerId worker_id, std::span<const TaskId> tasks, bool leaving,
                           Time now) {
  State& state = *state_;
  state.Begin(now);
  if (Worker* worker = state.workers.Find(worker_id)) {
    if (leaving && worker->state != WorkerState::kStarting) state.Leave(*worker);
    for (TaskId id : tasks) {
      Task* task = state.tasks.Find(id);
      if (task == nullptr || task->worker != worker) continue;
      if (task->cancel_asked || task->timed_out) {
        state.FailAsAsked(*task, {});
      } else {
        state.RunAgain(*task, /*counts=*/false);
      }
    }
  }
  state.Finish();
}

// --- submit --------------------------------------------------------------------------------------

Status Core::State::CheckSpec(const TaskSpec& spec) const {
  const auto invalid = [&](const std::string& what) {
    return Status(Code::kInvalidArgument, "task " + FormatRef(spec.id) + ": " + what);
  };
  const Session* session = sessions.Find(spec.session);
  if (session == nullptr || !session->open) return invalid("its session is not open");
  // An honest peer cannot: it may use up what it was given, which is at most the first credit.
  if (session->used_tasks >= limits::kSessionCreditTasks ||
      session->used_bytes >= limits::kSessionCreditBytes) {
    return invalid("it is beyond the credit of session " + std::to_string(spec.session));
  }
  if (!classes.Has(spec.task_class)) return invalid("its class is not defined");
  const uint32_t num_returns = classes.Get(spec.task_class).num_returns;
  if (classes.Get(spec.task_class).method != (spec.actor != 0)) {
    return invalid(spec.actor ? "its class is no method" : "a method of no actor");
  }
  const ObjectId last = spec.id + num_returns - 1;
  if (spec.id == 0 || SessionOf(spec.id) != spec.session || SessionOf(last) != spec.session) {
    return invalid("its id does not belong to session " + std::to_string(spec.session));
  }
  for (ObjectId id = spec.id; id <= last; ++id) {
    if (objects.Find(id) != nullptr) return invalid("its id is already used");
  }
  if (tasks.Find(spec.id) != nullptr) return invalid("its id is already used");
  if (spec.refs.size() + spec.nested_refs.size() > limits::kMaxArgs) {
    return invalid("it has " + std::to_string(spec.refs.size() + spec.nested_refs.size()) +
                   " refs, at most " + std::to_string(limits::kMaxArgs) + " are allowed");
  }
  return {};
}

Task& Core::State::InsertTask(TaskSpec spec) {
  const TaskClass& task_class = classes.Get(spec.task_class);
  Task& task = tasks.Insert(spec.id);
  task.parent = spec.parent;
  task.submitted = now;
  task.args = std::move(spec.args);
  task.task_class = spec.task_class;
  task.session = spec.session;
  const Task* parent = spec.parent ? tasks.Find(spec.parent) : nullptr;
  Session& session = *sessions.Find(task.session);
  task.by_actor = session.is_actor;
  task.root = task_class.detached ? kHeadSession : parent ? parent->root : session.root;
  sessions.Link(session, task);
  ++sessions.Find(task.root)->rooted;
  Program& program = workers.ProgramOf(task_class.program);
  ++program.tasks;
  if (!task_class.library.empty()) program.shared = true;
  queued_bytes += task.args.size();
  if (task_class.streaming) streams[task.id].dropped = task.session == kHeadSession;
  if (!task_class.actor) InsertResults(task, task_class);
  return task;
}

void Core::State::InsertResults(const Task& task, const TaskClass& task_class) {
  Session& session = *sessions.Find(task.session);
  Session& head = *sessions.Find(kHeadSession);
  for (uint32_t i = 0; i < task_class.num_returns; ++i) {
    Object& result = objects.Insert(task.id + i, task.session);
    result.maker = task.task_class;
    result.result_index = i;
    AddReference(session, result);
    if (task_class.detached && &session != &head) AddReference(head, result);
  }
}

ObjectId Core::State::PinArguments(Task& task, std::vector<ObjectId> refs,
                                   const std::vector<ObjectId>& nested_refs) {
  if (refs.empty() && nested_refs.empty()) return 0;
  for (ObjectId id : refs) {
    if (objects.Find(id) == nullptr) return id;
  }
  task.arguments = std::make_unique<Arguments>();
  Arguments& arguments = *task.arguments;
  arguments.refs = static_cast<uint32_t>(refs.size());
  arguments.ids = std::move(refs);
  for (ObjectId id : nested_refs) {
    if (objects.Find(id) != nullptr) arguments.ids.push_back(id);  // a gone one: the task finds out
  }
  arguments.ids.shrink_to_fit();
  for (ObjectId id : arguments.ids) Pin(*objects.Find(id));
  return 0;
}

void Core::State::AwaitArguments(Task& task) {
  if (task.arguments == nullptr) return MakeReady(task);
  Arguments& arguments = *task.arguments;
  for (uint32_t i = 0; i < arguments.refs; ++i) {
    Object& object = *objects.Find(arguments.ids[i]);
    if (object.state == ObjectState::kSealed) {
      if (object.is_error) {
        failing.push_back(task.id);
        return;
      }
      continue;
    }
    ++arguments.unsealed;
  }
  if (arguments.unsealed == 0) return MakeReady(task);
  arguments.dependencies = std::make_unique<Dependency[]>(arguments.refs);
  for (uint32_t i = 0; i < arguments.refs; ++i) {
    Object& object = *objects.Find(arguments.ids[i]);
    if (object.state == ObjectState::kSealed) continue;
    arguments.dependencies[i].task = &task;
    objects.AddDependency(object, arguments.dependencies[i]);
  }
}

void Core::State::MakeReady(Task& task) {
  if (task.arguments) task.arguments->dependencies.reset();
  tasks.Move(task, TaskState::kReady);
  if (task.is_call) {
    CallGroup& group = GroupOf(task);
    PlaceLine(group, CallerOf(task), group.lines.at(CallerOf(task)));
    return SendCalls(*task.actor);
  }
  ready.Add(task, *sessions.Find(task.root), classes.Get(task.task_class).priority,
            classes.ShapeOf(task.task_class));
}

// --- another attempt -----------------------------------------------------------------------------

bool Core::State::MayRunAgain(const Task& task) const {
  const int most = classes.Get(task.task_class).max_retries;
  return most < 0 || task.attempt < static_cast<uint32_t>(most);
}

void Core::State::RunAgain(Task& task, bool counts) {
  if (task.worker) TakeOff(task);
  if (task.actor && !task.is_call) LeaveWorker(*task.actor);
  ClearDeadlines(task);
  if (counts) ++task.attempt;
  if (classes.Get(task.task_class).streaming) StreamOf(task).produced = 0;
  if (task.is_call) Enqueue(task);
  MakeReady(task);
}

// --- end -----------------------------------------------------------------------------------------

void Core::State::FinishTask(Task& task, TaskOutcome& outcome) {
  if (task.actor && !task.is_call) return FinishCreation(task, outcome);
  if (task.actor && outcome.actor_exits) {
    DropCreated(task.worker->session, outcome);
    return BuryActor(*task.actor, ExitOf(*task.actor, outcome), Ending::kLeave);
  }
  Actor* const actor = task.actor;
  if (actor) FinishCall(task, outcome);
  const TaskClass& task_class = classes.Get(task.task_class);
  const int64_t pid = task.worker->pid;
  const SessionNumber session = task.worker->session;
  classes.NoteRunTime(task.task_class, outcome.run_time);
  if (outcome.failed) {
    DropCreated(session, outcome);
    // A call has run again already, where it did not lose its place.
    const bool may_run_again = !actor && outcome.retryable && task_class.retry_exceptions &&
                               !task.cancel_asked && !task.timed_out && MayRunAgain(task);
    if (may_run_again) return RunAgain(task, /*counts=*/true);
    const auto* encoded = outcome.results.empty()
                              ? nullptr
                              : std::get_if<std::string>(&outcome.results.front().value);
    return FailAsAsked(task, encoded ? DecodeError(*encoded)
                                     : MakeError(task, ErrorKind::kTaskFailed,
                                                 "the worker reported a failure without an error"));
  }
  if (outcome.results.size() != task_class.num_returns) {
    DropCreated(session, outcome);
    return FailAsAsked(
        task, MakeError(task, ErrorKind::kTaskFailed,
                        "the worker reported " + std::to_string(outcome.results.size()) +
                            " results, the task has " + std::to_string(task_class.num_returns)));
  }
  Detach(task);
  for (uint32_t i = 0; i < task_class.num_returns; ++i) {
    TaskResult& result = outcome.results[i];
    Object& object = *objects.Find(task.id + i);
    if (const auto* created = std::get_if<ObjectId>(&result.value)) {
      if (auto value = TakeCreated(session, *created)) {
        Seal(object, std::move(*value), std::move(result.contained), /*is_error=*/false);
      } else {
        const ErrorInfo error = MakeError(task, ErrorKind::kObjectLost,
                                          "the worker named a result that it did not create");
        Seal(object, EncodeError(error), {}, /*is_error=*/true);
      }
    } else {
      Seal(object, std::get<std::string>(std::move(result.value)), std::move(result.contained),
           /*is_error=*/false);
    }
  }
  CloseTask(task, TaskState::kFinished, {}, outcome.run_time, pid);
}

void Core::State::FailAsAsked(Task& task, ErrorInfo error) {
  if (task.cancel_asked) {
    const GroupId group = classes.Get(task.task_class).placement_group;
    error = MakeError(task, ErrorKind::kCancelled,
                      group == 0 || groups.Find(group) ? "the task was cancelled"
                                                       : "its placement group was removed");
  } else if (task.timed_out) {
    const auto timeout =
        std::chrono::duration_cast<milliseconds>(classes.Get(task.task_class).timeout);
    error = MakeError(task, ErrorKind::kTimedOut,
                      "ran longer than its timeout of " + std::to_string(timeout.count()) + " ms");
  }
  FailTask(task, std::move(error));
}

void Core::State::FailTask(Task& task, ErrorInfo error) {
  if (task.actor && !task.is_call) return FailCreation(task, std::move(error));
  const int64_t pid = task.worker ? task.worker->pid : 0;
  const uint32_t num_returns = classes.Get(task.task_class).num_returns;
  Detach(task);
  std::string encoded;
  for (uint32_t i = 0; i < num_returns; ++i) {
    Object& object = *objects.Find(task.id + i);
    // Most results of a cancelled session are wanted by nobody.
    if (encoded.empty() && (!object.unwanted() || object.interest)) encoded = EncodeError(error);
    Seal(object, encoded, {}, /*is_error=*/true);
  }
  const TaskState end =
      error.kind == ErrorKind::kCancelled ? TaskState::kCancelled : TaskState::kFailed;
  std::string detail = std::string(ErrorKindName(error.kind)) + ": " + error.message;
  CloseTask(task, end, std::move(detail), microseconds{0}, pid);
}

void Core::State::FailByArgument(Task& task) {
  const Arguments& arguments = *task.arguments;
  for (uint32_t i = 0; i < arguments.refs; ++i) {
    const Object& object = *objects.Find(arguments.ids[i]);
    if (object.state != ObjectState::kSealed || !object.is_error) continue;
    ErrorInfo error = DecodeError(std::get<std::string>(object.content->value));
    if (error.chain.size() < limits::kMaxErrorChain) {
      error.chain.push_back(classes.Get(task.task_class).name);
    }
    return FailTask(task, std::move(error));
  }
}

void Core::State::Detach(Task& task) {
  if (task.worker) {
    TakeOff(task);
  } else if (task.is_call) {
    Dequeue(task);
  } else if (task.state == TaskState::kReady) {
    ready.Remove(task, *sessions.Find(task.root), classes.Get(task.task_class).priority,
                 classes.ShapeOf(task.task_class));
  }
  if (task.arguments && task.arguments->dependencies) {
    for (uint32_t i = 0; i < task.arguments->refs; ++i) {
      Dependency& dependency = task.arguments->dependencies[i];
      if (dependency.object) objects.RemoveDependency(dependency);
    }
    task.arguments->dependencies.reset();
  }
}

void Core::State::CloseTask(Task& task, TaskState end, std::string detail, microseconds run_time,
                            int64_t pid) {
  tasks.Move(task, end);
  ClearDeadlines(task);
  Decide(TaskEnded{task.id, task.task_class, end != TaskState::kFinished, detail});
  tasks.Remember(EndedTask{task.id, task.task_class, task.session, task.attempt, end, pid, run_time,
                           task.submitted, now, std::move(detail)});
  if (task.arguments) {
    for (ObjectId id : task.arguments->ids) Unpin(id);
  }
  if (classes.Get(task.task_class).streaming) {
    ResumeConsumers(StreamOf(task), task.id, /*ended=*/true);
    streams.erase(task.id);
  }
  Actor* const called = task.is_call ? task.actor : nullptr;
  queued_bytes -= task.args.size();
  --workers.ProgramOf(classes.ShapeOfClass(task.task_class).program).tasks;
  Session& session = *sessions.Find(task.session);
  Session& root = *sessions.Find(task.root);
  sessions.Unlink(session, task);
  --root.rooted;
  tasks.Erase(task);
  if (called) {
    Unpin(called->id);
    SendCalls(*called);
  }
  ForgetIfDone(root);
  if (&session != &root) ForgetIfDone(session);
}

ErrorInfo Core::State::MakeError(const Task& task, ErrorKind kind, std::string message) const {
  ErrorInfo error;
  error.kind = kind;
  error.message = std::move(message);
  error.task = classes.Get(task.task_class).name;
  error.worker_pid = task.worker ? task.worker->pid : 0;
  return error;
}

}  // namespace kiln::core
