// A core with fake workers, some of which are actors. See core_harness.h.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/core_harness.h"

namespace kiln::core {

// An actor's class, its methods, and shorthands.
class ActorHarness : public CoreHarness {
 public:
  using CoreHarness::CoreHarness;

  static TaskClass Counter(int max_restarts = 0, uint32_t max_concurrency = 1) {
    TaskClass task_class = Own("Counter");
    task_class.actor = ActorOptions{};
    task_class.actor->max_restarts = max_restarts;
    task_class.actor->max_concurrency = max_concurrency;
    return task_class;
  }
  static TaskClass Method(const std::string& name = "Add", int max_task_retries = 0) {
    TaskClass task_class;
    task_class.function = task_class.name = name;
    task_class.resources = Resources();
    task_class.max_retries = max_task_retries;
    task_class.method = true;
    return task_class;
  }

  ActorId Create(const TaskClass& task_class, const std::string& name = "", Submission how = {},
                 bool get_if_exists = false) {
    ActorSpec spec = SpecOf(task_class, name, std::move(how));
    spec.get_if_exists = get_if_exists;
    const Result<ActorId> actor = core.OnActorSubmitted(std::move(spec), now);
    REQUIRE(actor.ok());
    Pump();
    return actor.value();
  }
  ActorSpec SpecOf(const TaskClass& task_class, const std::string& name, Submission how) {
    ActorSpec spec;
    spec.creation.id = NextId(how.session);
    spec.creation.task_class = Class(task_class);
    spec.creation.session = how.session;
    spec.creation.parent = how.parent;
    spec.creation.refs = how.refs;
    spec.creation.nested_refs = how.nested_refs;
    spec.name = name;
    return spec;
  }
  // One whose constructor has run.
  ActorId Alive(const TaskClass& task_class = Counter(), const std::string& name = "") {
    const ActorId actor = Create(task_class, name);
    REQUIRE(Running(actor));
    FinishConstructor(actor);
    return actor;
  }
  void FinishConstructor(ActorId actor) {
    TaskOutcome outcome;
    outcome.results.push_back({"", {}});
    Report(actor, std::move(outcome));
    REQUIRE(Row(actor).state == "ALIVE");
  }
  TaskId Call(ActorId actor, const TaskClass& method = Method(), Submission how = {}) {
    TaskSpec spec;
    spec.id = NextId(how.session);
    spec.task_class = Class(method);
    spec.session = how.session;
    spec.parent = how.parent;
    spec.refs = how.refs;
    spec.actor = actor;
    const TaskId id = spec.id;
    REQUIRE(core.OnTaskSubmitted(std::move(spec), now).ok());
    Pump();
    return id;
  }
  void Kill(ActorId actor, bool may_restart = false) {
    core.OnActorKilled(actor, may_restart, now);
    Pump();
  }
  ActorRow Row(ActorId actor) const {
    for (const ActorRow& row : core.ListActors()) {
      if (row.id == actor) return row;
    }
    ActorRow none{};
    none.state = "UNKNOWN";
    return none;
  }
  WorkerId Host(ActorId actor) const {
    for (const auto& [id, worker] : workers) {
      const auto hosted = core.FindHosted(id);
      if (hosted && hosted->id == actor) return id;
    }
    return 0;
  }
  // Tasks in the order in which they were sent to workers.
  std::vector<TaskId> RunSince(size_t count) const { return {run.begin() + count, run.end()}; }
};

}  // namespace kiln::core
