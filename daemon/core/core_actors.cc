// Actors from the constructor on. Their ends are in core_actor_ends.cc, their calls in
// core_calls.cc.
#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "daemon/core/core_state.h"
#include "daemon/core/group_resources.h"

namespace kiln::core {

Result<ActorId> Core::OnActorSubmitted(ActorSpec spec, Time now) {
  State& state = *state_;
  if (Status status = state.CheckSpec(spec.creation); !status.ok()) return status;
  if (!state.classes.Get(spec.creation.task_class).actor) {
    return Status(Code::kInvalidArgument,
                  "the class of task " + FormatRef(spec.creation.id) + " makes no actor");
  }
  state.Begin(now);
  Session& session = *state.sessions.Find(spec.creation.session);
  state.UseCredit(session, spec.creation.args.size());
  if (Actor* holder =
          spec.name.empty() ? nullptr : state.actors.FindNamed(spec.name_space, spec.name)) {
    Result<ActorId> found = holder->id;
    if (spec.get_if_exists) {
      state.AddReference(session, *state.objects.Find(holder->id));
    } else {
      found = Status(Code::kAlreadyExists,
                     "the name " + spec.name + " is taken by another actor" +
                         (spec.name_space.empty() ? "" : " in namespace " + spec.name_space) +
                         " (" + state.classes.Get(holder->creation).name + ", " +
                         std::string(Name(holder->state)) + ")");
    }
    state.Finish();
    return found;
  }
  Actor& actor = state.InsertActor(spec);
  std::vector<ObjectId> refs = std::exchange(spec.creation.refs, {});
  const std::vector<ObjectId> nested_refs = std::exchange(spec.creation.nested_refs, {});
  Task& task = state.InsertTask(std::move(spec.creation));
  state.SetRoot(task, actor);
  task.actor = &actor;
  const ObjectId unknown = state.PinArguments(task, refs, nested_refs);
  const TaskClass& task_class = state.classes.Get(actor.creation);
  if (task_class.actor->max_restarts != 0 && unknown == 0) {
    actor.args = task.args;
    actor.refs = std::move(refs);
    for (ObjectId id : nested_refs) {
      if (state.objects.Find(id)) actor.nested_refs.push_back(id);
    }
    for (ObjectId id : actor.refs) state.Pin(*state.objects.Find(id));
    for (ObjectId id : actor.nested_refs) state.Pin(*state.objects.Find(id));
  }
  if (std::optional<ErrorInfo> error = state.WhyNeverRuns(task, unknown)) {
    state.FailTask(task, std::move(*error));
  } else if (state.actors.alive() > limits::kMaxActors) {
    state.FailTask(task, state.MakeError(task, ErrorKind::kResourceExhausted,
                                         "there are " + std::to_string(limits::kMaxActors) +
                                             " actors already; end some of them"));
  } else {
    state.AwaitArguments(task);
  }
  const ActorId id = actor.id;
  state.Finish();
  return id;
}

Result<ActorId> Core::OnActorSought(SessionNumber number, const std::string& name_space,
                                    const std::string& name, Time now) {
  State& state = *state_;
  Actor* actor = state.actors.FindNamed(name_space, name);
  if (actor == nullptr) {
    return Status(Code::kNotFound, DescribeMissingActor(name_space, name));
  }
  state.Begin(now);
  Session* session = state.sessions.FindOpen(number);
  if (session != nullptr && number != kHeadSession) {
    state.AddReference(*session, *state.objects.Find(actor->id));
  }
  state.Finish();
  return actor->id;
}

void Core::OnActorKilled(ActorId id, bool may_restart, Time now) {
  State& state = *state_;
  Actor* actor = state.actors.Find(id);
  if (actor == nullptr || actor->state == ActorState::kDead) return;
  state.Begin(now);
  if (!may_restart) {
    state.BuryActor(*actor, state.DeathOf(*actor, "it was killed"), State::Ending::kKill);
  } else if (actor->worker) {
    state.Kill(*actor->worker, "its actor was killed, and may be started anew");
  }
  state.Finish();
}

// --- the constructor -----------------------------------------------------------------------------

Actor& Core::State::InsertActor(ActorSpec& spec) {
  const TaskSpec& creation = spec.creation;
  const TaskClass& task_class = classes.Get(creation.task_class);
  Session& session = *sessions.Find(creation.session);
  Actor& actor = actors.Insert(creation.id);
  actor.creation = creation.task_class;
  actor.handle = std::move(spec.handle);
  actor.owner = creation.session;
  actor.parent = creation.parent;
  actor.created = now;
  const Task* parent = creation.parent ? tasks.Find(creation.parent) : nullptr;
  const bool by_actor = parent && parent->actor;
  actor.root = task_class.detached   ? kHeadSession
               : parent && !by_actor ? parent->root
                                     : session.root;
  if (!spec.name.empty()) {
    actors.GiveName(actor, std::move(spec.name_space), std::move(spec.name));
  }
  actor.groups.push_back({.limit = task_class.actor->max_concurrency});
  for (const auto& [name, limit] : task_class.actor->groups) {
    actor.groups.push_back({.name = name, .limit = limit});
  }
  ++workers.ProgramOf(task_class.program).actors;

  Object& object = objects.Insert(actor.id, creation.session);
  object.maker = kActorMaker;
  AddReference(session, object);
  if (task_class.detached && session.number != kHeadSession) {
    AddReference(*sessions.Find(kHeadSession), object);
  }
  Seal(object, std::string(), {}, /*is_error=*/false);
  return actor;
}

void Core::State::SetRoot(Task& creation, const Actor& actor) {
  --sessions.Find(creation.root)->rooted;
  creation.root = actor.root;
  ++sessions.Find(creation.root)->rooted;
}

void Core::State::RepeatCreation(Actor& actor) {
  TaskSpec spec;
  spec.id = actor.id;
  spec.task_class = actor.creation;
  spec.session = sessions.FindOpen(actor.owner) ? actor.owner : kHeadSession;
  spec.args = actor.args;
  Task& task = InsertTask(std::move(spec));
  SetRoot(task, actor);
  task.actor = &actor;
  task.attempt = actor.restarts;
  (void)PinArguments(task, actor.refs, actor.nested_refs);
  AwaitArguments(task);
}

void Core::State::HostActor(Task& creation, Worker& worker) {
  Actor& actor = *creation.actor;
  workers.Host(worker, now);
  worker.actor = &actor;
  creation.worker = &worker;
  ++worker.assigned;
  worker.progress = now;
  actor.worker = &worker;
  actor.sent.PushBack(creation);
  Session& session = *sessions.Find(worker.session);
  session.root = actor.root;
  session.is_actor = true;
  Hold(actor, classes.ShapeOfClass(actor.creation).resources);
  Decide(RunTask{worker.id, creation.id, /*nested=*/false});
}

void Core::State::FinishCreation(Task& creation, TaskOutcome& outcome) {
  Actor& actor = *creation.actor;
  const int64_t pid = creation.worker->pid;
  DropCreated(creation.worker->session, outcome);
  if (outcome.failed) {
    const auto* encoded = outcome.results.empty()
                              ? nullptr
                              : std::get_if<std::string>(&outcome.results.front().value);
    return FailCreation(creation, encoded ? DecodeError(*encoded)
                                          : MakeError(creation, ErrorKind::kTaskFailed,
                                                      "the worker reported a failure without an "
                                                      "error"));
  }
  Detach(creation);
  CloseTask(creation, TaskState::kFinished, {}, outcome.run_time, pid);
  actor.repr = std::move(outcome.actor_repr);
  Hold(actor, classes.HeldOf(actor.creation));
  actors.Move(actor, ActorState::kAlive);
  if (outcome.actor_exits) {
    return BuryActor(actor, ExitOf(actor, outcome), Ending::kLeave);
  }
  SendCalls(actor);
  FreeIfUnwanted(*objects.Find(actor.id));
}

void Core::State::FailCreation(Task& creation, ErrorInfo error) {
  Actor& actor = *creation.actor;
  const int64_t pid = creation.worker ? creation.worker->pid : 0;
  Detach(creation);
  const TaskState end =
      error.kind == ErrorKind::kCancelled ? TaskState::kCancelled : TaskState::kFailed;
  CloseTask(creation, end, std::string(ErrorKindName(error.kind)) + ": " + error.message,
            microseconds{0}, pid);
  // What the constructor threw is why the actor is dead; who calls it is told all of it.
  if (error.kind == ErrorKind::kTaskFailed || error.kind == ErrorKind::kWorkerCrashed ||
      error.kind == ErrorKind::kCancelled) {
    error.kind = ErrorKind::kActorDied;
  }
  BuryActor(actor, std::move(error), Ending::kLeave);
}

// --- resources -----------------------------------------------------------------------------------

void Core::State::Hold(Actor& actor, const Resources& resources) {
  const auto change = [&](const Resources& amount, bool take) {
    if (amount == Resources()) return;
    if (take) {
      free.Subtract(amount);
    } else {
      free.Add(amount);
    }
    Session* root = sessions.Find(actor.root);
    if (root == nullptr) return;  // it has ended, and so does the actor
    root->cpu_units += (take ? 1 : -1) * FairCpuUnits(amount);
    ready.Mark(*root);
  };
  if (actor.holds) change(actor.held, /*take=*/false);
  actor.held = resources;
  actor.holds = true;
  change(actor.held, /*take=*/true);
}

// As a task that is blocked gives its CPU to those it waits for, and takes it back at once.
void Core::State::AdjustHold(Actor& actor) {
  const bool holds = !actor.all_blocked();
  if (holds == actor.holds) return;
  const Resources held = actor.held;
  Hold(actor, holds ? held : Resources());
  actor.held = held;
  actor.holds = holds;
}

// --- reading -------------------------------------------------------------------------------------

ActorRow Core::State::RowOf(const Actor& actor) const {
  const TaskClass& task_class = classes.Get(actor.creation);
  ActorRow row{};
  row.id = actor.id;
  row.class_name = task_class.name;
  row.state = Name(actor.state);
  row.name = actor.name;
  row.name_space = actor.name_space;
  row.repr = actor.repr;
  row.pid = actor.worker ? actor.worker->pid : 0;
  row.root = actor.root;
  row.created = actor.created;
  row.restarts = actor.restarts;
  row.last_end = actor.last_end;
  row.max_restarts = task_class.actor->max_restarts;
  row.pending_calls = actor.waiting + actor.sent.size();
  row.finished_calls = actor.finished;
  if (const Object* object = objects.Find(actor.id)) row.references = object->references;
  if (actor.holds && actor.worker) {
    row.held = actor.state == ActorState::kAlive ? task_class.actor->held : task_class.resources;
  }
  const Task* creation = tasks.Find(actor.id);
  if (actor.state == ActorState::kDead) {
    row.detail = actor.death.message;
  } else if (creation && creation->worker) {
    row.detail = "its constructor runs";
    --row.pending_calls;
  } else if (creation) {
    row.detail = WaitsFor(*creation);
  } else if (actor.state == ActorState::kRestarting) {
    row.detail = "is started anew after a pause, for it died without having ended a call: its " +
                 actor.last_end;
  }
  return row;
}

}  // namespace kiln::core
