// The world's actors: made, called, sought, killed.
#include <algorithm>
#include <limits>
#include <utility>

#include "tests/random/simulation.h"

namespace kiln::core {
namespace {

constexpr const char* kNames[] = {"a", "b"};

}  // namespace

void Simulation::StepActors(const Submitter& by, const std::vector<ObjectId>& known,
                            std::vector<ObjectId>& held) {
  const int what = Number(100);
  if (what < 20) return CreateActor(by, known, held);
  if (what < 25) return SeekActor(by, held);
  std::vector<ActorId> callable;
  for (ObjectId id : known) {
    auto actor = actors_.find(id);
    if (actor == actors_.end() || actor->second.rank <= by.limit) continue;
    if (actor->second.floor > by.limit) callable.push_back(id);
  }
  if (callable.empty()) return CreateActor(by, known, held);
  const ActorId actor = callable[static_cast<size_t>(Number(static_cast<int>(callable.size())))];
  if (what < 27) return core_.OnActorKilled(actor, Chance(50), now_);
  for (int burst = Chance(10) ? 10 : 1; burst > 0; --burst) CallActor(actor, by, known, held);
}

TaskClass Simulation::RandomActorClass(ProgramId program) {
  TaskClass task_class = RandomClass(program);
  task_class.streaming = false;
  task_class.stream_window = 0;
  task_class.num_returns = 1;
  task_class.detached = Chance(10);
  task_class.actor = ActorOptions{};
  task_class.actor->max_restarts = Number(4) - 1;
  task_class.actor->max_concurrency = Chance(70) ? 1 : 1 + static_cast<uint32_t>(Number(4));
  if (Chance(20)) task_class.actor->groups["io"] = 1 + static_cast<uint32_t>(Number(2));
  if (Chance(15)) task_class.actor->held = Resources(Chance(50) ? 0.5 : 1);
  if (Chance(5)) task_class.actor->held.SetCustom("disk", 1);
  return task_class;
}

void Simulation::CreateActor(const Submitter& by, const std::vector<ObjectId>& known,
                             std::vector<ObjectId>& held) {
  TaskClass task_class = RandomActorClass(by.program);
  PutIntoGroup(task_class, known);
  ActorSpec spec;
  spec.creation.id = NextId(by.session);
  spec.creation.task_class = core_.InternClass(task_class).value();
  GiveArguments(spec.creation, by, known);
  if (Chance(20)) {
    spec.name = kNames[Number(2)];
    spec.name_space = Chance(50) ? "" : "space";
    spec.get_if_exists = Chance(50);
  }
  const ActorId id = spec.creation.id;
  FakeActor actor;
  actor.rank = actor.floor = actors_.size() + 1;
  actor.options = *task_class.actor;
  actor.given = spec.creation.refs;
  actor.given.insert(actor.given.end(), spec.creation.nested_refs.begin(),
                     spec.creation.nested_refs.end());
  for (ObjectId given : actor.given) actor.floor = std::min(actor.floor, FloorOf(given));
  actors_[id] = std::move(actor);
  const bool named = !spec.name.empty(), may_exist = spec.get_if_exists;
  const Result<ActorId> made = core_.OnActorSubmitted(std::move(spec), now_);
  if (made.ok()) {
    Check(made.value() == id || may_exist, "makes another actor");
    held.push_back(made.value());
  } else {
    Check(named && !may_exist && made.status().code() == Code::kAlreadyExists,
          "refuses a good actor: " + made.status().message());
  }
  Pump();
}

void Simulation::CallActor(ActorId actor, const Submitter& by, const std::vector<ObjectId>& known,
                           std::vector<ObjectId>& held) {
  FakeActor& called = actors_.at(actor);
  TaskClass method;
  method.function = method.name = "m" + std::to_string(Number(2));
  method.resources = Resources();
  method.method = true;
  method.max_retries = Chance(60) ? 0 : Number(4) - 1;
  method.streaming = Chance(15);
  if (method.streaming) method.stream_window = static_cast<uint32_t>(Number(4));
  if (Chance(20)) method.group = "io";
  TaskSpec spec;
  spec.id = NextId(by.session);
  spec.task_class = core_.InternClass(method).value();
  spec.actor = actor;
  GiveArguments(spec, by, known);
  std::vector<ObjectId>& given = given_[spec.id];
  given = spec.refs;
  given.insert(given.end(), spec.nested_refs.begin(), spec.nested_refs.end());
  for (ObjectId id : given) called.floor = std::min(called.floor, FloorOf(id));
  limits_[spec.id] = called.rank;
  floors_[spec.id] = called.floor;
  const std::string group = called.options.groups.contains(method.group) ? method.group : "";
  calls_.OnSubmitted(spec.id, actor, by.caller, group,
                     method.max_retries < 0 ? -1 : method.max_retries + 1);
  ++submitted_;
  held.push_back(spec.id);
  Check(core_.OnTaskSubmitted(std::move(spec), now_).ok(), "refuses a good call");
  Pump();
}

// An actor that was found by name may be waiting for who has found it, who therefore does not wait
// for what it calls.
void Simulation::SeekActor(const Submitter& by, std::vector<ObjectId>& held) {
  const std::string name_space = Chance(50) ? "" : "space";
  const Result<ActorId> found =
      core_.OnActorSought(by.session, name_space, kNames[Number(2)], now_);
  Pump();
  if (!found.ok()) return Check(found.status().code() == Code::kNotFound, "refuses to look");
  const bool is_driver = by.parent == 0 && !worker_sessions_.contains(by.session);
  if (is_driver) return held.push_back(found.value());
  std::vector<ObjectId> results;
  if (Chance(50)) CallActor(found.value(), by, {}, results);
  results.push_back(found.value());
  Release(by.session, results);
}

void Simulation::KillAnyActor() {
  std::vector<ActorId> alive;
  for (const ActorRow& row : core_.ListActors()) {
    if (row.state != "DEAD") alive.push_back(row.id);
  }
  if (alive.empty()) return;
  core_.OnActorKilled(alive[static_cast<size_t>(Number(static_cast<int>(alive.size())))],
                      /*may_restart=*/Chance(70), now_);
}

uint64_t Simulation::FloorOf(ObjectId id) const {
  const auto view = core_.FindObject(id);
  if (!view || view->state == ObjectView::State::kSealed) {
    return std::numeric_limits<uint64_t>::max();
  }
  auto floor = floors_.find(id);
  return floor == floors_.end() ? std::numeric_limits<uint64_t>::max() : floor->second;
}

std::vector<ObjectId> Simulation::Usable(const std::vector<ObjectId>& ids, uint64_t limit) const {
  std::vector<ObjectId> usable;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(usable),
               [&](ObjectId id) { return FloorOf(id) > limit; });
  return usable;
}

// Kills an actor that holds resources. Returns: false if there is none.
bool Simulation::EndHolder() {
  for (const ActorRow& row : core_.ListActors()) {
    if (row.held == Resources() || row.state != "ALIVE") continue;
    core_.OnActorKilled(row.id, false, now_);
    Pump();
    return true;
  }
  return false;
}

// Those that outlive their drivers.
void Simulation::EndActors() {
  for (const ActorRow& row : core_.ListActors()) {
    if (row.state == "DEAD") continue;
    core_.OnActorKilled(row.id, false, now_);
    Pump();
  }
}

}  // namespace kiln::core
