#include <catch2/catch.hpp>

#include "daemon/core/group_resources.h"
#include "tests/unit/actor_harness.h"

namespace kiln::core {
namespace {

class GroupHarness : public ActorHarness {
 public:
  using ActorHarness::ActorHarness;

  GroupId Make(std::vector<Resources> bundles, bool detached = false, Submission how = {}) {
    GroupSpec spec;
    spec.id = NextId(how.session);
    spec.session = how.session;
    spec.parent = how.parent;
    spec.bundles = std::move(bundles);
    spec.name = "gang";
    spec.detached = detached;
    spec.value = "reserved";
    const GroupId id = spec.id;
    REQUIRE(core.OnGroupSubmitted(std::move(spec), now).ok());
    Pump();
    return id;
  }
  void Remove(GroupId group) {
    core.OnGroupRemoved(group, now);
    Pump();
  }
  static TaskClass In(GroupId group, double num_cpus = 1, int bundle = kAnyBundle) {
    TaskClass task_class = Library("member", num_cpus);
    task_class.placement_group = group;
    task_class.bundle_index = bundle;
    return task_class;
  }
  GroupRow Row(GroupId group) const {
    for (const GroupRow& row : core.ListGroups()) {
      if (row.id == group) return row;
    }
    return {};
  }
};

Resources Disk(double num_cpus, double disk) {
  Resources resources(num_cpus);
  resources.SetCustom("disk", disk);
  return resources;
}

TEST_CASE("a group is reserved as a whole, when all its bundles fit") {
  GroupHarness h(3);
  const TaskId task = h.Submit(GroupHarness::Library("f", 2));
  const GroupId group = h.Make({Resources(1), Resources(1)});
  CHECK(h.Row(group).state == "PENDING");
  CHECK_FALSE(h.Sealed(group));
  CHECK(h.UsedCpus() == 2);
  h.Finish(task);
  CHECK(h.Row(group).state == "CREATED");
  CHECK(h.ValueOf(group) == "reserved");
  CHECK(h.UsedCpus() == 2);
}

TEST_CASE("tasks in a group take of its bundles, others of what is left") {
  GroupHarness h(2);
  const GroupId group = h.Make({Resources(1)});
  const TaskId member = h.Submit(GroupHarness::In(group));
  const TaskId behind = h.Submit(GroupHarness::In(group));
  const TaskId outside = h.Submit(GroupHarness::Library());
  const TaskId waits = h.Submit(GroupHarness::Library());
  CHECK(h.Running(member));
  CHECK(h.Running(outside));
  CHECK_FALSE(h.Running(behind));
  CHECK_FALSE(h.Running(waits));
  CHECK(h.Row(group).used.num_cpus() == 1);
  CHECK(h.UsedCpus() == 2);
  h.Finish(member);
  CHECK(h.Running(behind));
  h.Finish(outside);
  CHECK(h.Running(waits));
}

TEST_CASE("a task with a bundle index takes of that bundle, and of all together") {
  GroupHarness h(4);
  const GroupId group = h.Make({Resources(1), Resources(2)});
  const TaskId first = h.Submit(GroupHarness::In(group, 1, 0));
  const TaskId same = h.Submit(GroupHarness::In(group, 1, 0));
  const TaskId other = h.Submit(GroupHarness::In(group, 2, 1));
  const TaskId any = h.Submit(GroupHarness::In(group, 1));
  CHECK(h.Running(first));
  CHECK_FALSE(h.Running(same));
  CHECK(h.Running(other));
  CHECK_FALSE(h.Running(any));
  h.Finish(other);
  CHECK(h.Running(any));
}

TEST_CASE("a task without resources waits for its group too") {
  GroupHarness h(1);
  const TaskId task = h.Submit(GroupHarness::Library());
  const GroupId group = h.Make({Resources(1)});
  const TaskId member = h.Submit(GroupHarness::In(group, 0));
  CHECK_FALSE(h.Running(member));
  h.Finish(task);
  CHECK(h.Running(member));
}

TEST_CASE("custom resources of a bundle are reserved with it") {
  CoreOptions options = CoreHarness::Options(2);
  options.total.SetCustom("disk", 1);
  GroupHarness h(options);
  const GroupId group = h.Make({Disk(1, 1)});
  TaskClass outside = GroupHarness::Library();
  outside.resources = Disk(1, 1);
  const TaskId waits = h.Submit(outside);
  CHECK_FALSE(h.Running(waits));
  TaskClass inside = GroupHarness::In(group);
  inside.resources = Disk(0, 0.5);
  CHECK(h.Running(h.Submit(inside)));
  CHECK(h.Row(group).used.CustomUnits("disk") == Resources::kUnit / 2);
  h.Remove(group);
  CHECK(h.Running(waits));
}

TEST_CASE("a group that can never fit fails at once") {
  GroupHarness h(2);
  const GroupId group = h.Make({Resources(1), Resources(2)});
  CHECK(h.ErrorOf(group).kind == ErrorKind::kUnschedulable);
  CHECK(h.ErrorOf(group).message.find("3 asked, 2 here") != std::string::npos);
  CHECK(h.Row(group).state == "REMOVED");
  CHECK(h.ErrorOf(h.Submit(GroupHarness::In(group))).kind == ErrorKind::kUnschedulable);
}

TEST_CASE("a task that its bundle can never hold fails at once") {
  GroupHarness h(3);
  const GroupId group = h.Make({Resources(1), Resources(2)});
  const auto message = [&](TaskId task) { return h.ErrorOf(task).message; };
  CHECK(message(h.Submit(GroupHarness::In(group, 2, 0))).find("bundle 0") != std::string::npos);
  CHECK(message(h.Submit(GroupHarness::In(group, 3))).find("any bundle") != std::string::npos);
  CHECK(message(h.Submit(GroupHarness::In(group, 1, 2))).find("index 2") != std::string::npos);
  CHECK(message(h.Submit(GroupHarness::In(12345))).find("never made") != std::string::npos);
}

TEST_CASE("a removed group gives its resources back and ends what used it") {
  GroupHarness h(2);
  const GroupId group = h.Make({Resources(1), Resources(1)});
  const TaskId running = h.Submit(GroupHarness::In(group));
  TaskClass held = ActorHarness::Counter();
  held.placement_group = group;
  held.actor->held = Resources(1);
  const ActorId actor = h.Alive(held);
  const TaskId queued = h.Submit(GroupHarness::In(group));
  const TaskId outside = h.Submit(GroupHarness::Library());
  h.auto_leave = false;
  h.Remove(group);
  CHECK(h.ErrorOf(queued).kind == ErrorKind::kUnschedulable);
  CHECK(h.ErrorOf(queued).message.find("gang is gone: it was removed") != std::string::npos);
  CHECK(h.Row(group).state == "REMOVED");
  CHECK(h.ActorHarness::Row(actor).state == "DEAD");
  CHECK(h.ErrorOf(h.Call(actor)).message.find("gang is gone") != std::string::npos);
  REQUIRE(h.cancels.size() == 1);
  CHECK(h.cancels[0].task == running);
  CHECK(h.Running(outside));
  CHECK(h.UsedCpus() == 1);
  h.auto_leave = true;
  h.Advance(limits::kCancelGrace * 2);
  CHECK(h.ErrorOf(running).message == "its placement group was removed");
  h.Finish(outside);
  CHECK(h.UsedCpus() == 0);
}

TEST_CASE("a group that waits and is removed is an error, and no longer in the way") {
  GroupHarness h(2);
  const TaskId task = h.Submit(GroupHarness::Library());
  const GroupId first = h.Make({Resources(2)});
  const GroupId second = h.Make({Resources(1)});
  CHECK(h.Row(second).state == "PENDING");  // in its turn
  h.Remove(first);
  CHECK(h.ErrorOf(first).kind == ErrorKind::kUnschedulable);
  CHECK(h.Row(second).state == "CREATED");
  h.Finish(task);
}

TEST_CASE("a group that lacks what another holds does not hold up the next") {
  GroupHarness h(2);
  const GroupId first = h.Make({Resources(1)});
  const GroupId wide = h.Make({Resources(2)});
  const GroupId small = h.Make({Resources(1)});
  CHECK(h.Row(wide).state == "PENDING");
  CHECK(h.Row(small).state == "CREATED");
  h.Remove(first);
  h.Remove(small);
  CHECK(h.Row(wide).state == "CREATED");
}

TEST_CASE("tasks pass a waiting group a bounded number of times") {
  GroupHarness h(2);
  const TaskId slow = h.Submit(GroupHarness::Library());
  const GroupId group = h.Make({Resources(2)});
  for (uint32_t i = 0; i < limits::kMaxBypasses; ++i) {
    h.Finish(h.Submit(GroupHarness::Library("g")));
  }
  const TaskId late = h.Submit(GroupHarness::Library("g"));
  CHECK_FALSE(h.Running(late));
  h.Finish(slow);
  CHECK(h.Row(group).state == "CREATED");
  CHECK_FALSE(h.Running(late));
  h.Remove(group);
  CHECK(h.Running(late));
}

TEST_CASE("jobs and groups pass each other, and the older one is first") {
  GroupHarness h(2);
  const TaskId task = h.Submit(GroupHarness::Library());
  const GroupId wide = h.Make({Resources(2)});
  REQUIRE(h.core.OnJobSubmitted(1, Resources(1), h.now).ok());
  h.Pump();
  CHECK(h.jobs.size() == 1);
  REQUIRE(h.core.OnJobSubmitted(2, Resources(2), h.now).ok());
  h.Finish(task);
  h.core.OnJobEnded(1, h.now);
  h.Pump();
  CHECK(h.Row(wide).state == "CREATED");
  CHECK(h.jobs.size() == 1);
  h.Remove(wide);
  CHECK(h.jobs.size() == 2);
}

TEST_CASE("a blocked task gives back to its group, and takes again") {
  GroupHarness h(1);
  const GroupId group = h.Make({Resources(1)});
  const TaskId outer = h.Submit(GroupHarness::In(group));
  const TaskId inner = h.SubmitFrom(outer, GroupHarness::In(group));
  CHECK_FALSE(h.Running(inner));
  h.Block(outer, {inner});
  REQUIRE(h.Running(inner));
  h.Finish(inner);
  CHECK(h.Row(group).used.num_cpus() == 1);
  h.Finish(outer);
  CHECK(h.Row(group).used.num_cpus() == 0);
}

TEST_CASE("who waits for a group gives its CPU to it") {
  GroupHarness h(1);
  const TaskId outer = h.Submit(GroupHarness::Library());
  const SessionNumber session = h.workers.at(h.WorkerOf(outer)).session;
  const GroupId group = h.Make({Resources(1)}, false, {.session = session, .parent = outer});
  h.Block(outer, {group});
  CHECK(h.Row(group).state == "CREATED");
  h.Finish(outer);
  CHECK(h.Row(group).state == "CREATED");  // it lives for the driver
}

TEST_CASE("a group ends with its driver, a detached one does not") {
  GroupHarness h(3);
  const SessionNumber driver = h.OpenDriver(CoreHarness::kProgram);
  const GroupId own = h.Make({Resources(1)}, false, {.session = driver});
  const GroupId detached = h.Make({Resources(1)}, true, {.session = driver});
  h.CloseSession(driver);
  CHECK(h.Row(own).state == "REMOVED");
  CHECK(h.Row(detached).state == "CREATED");
  CHECK(h.Sealed(detached));
  CHECK(h.UsedCpus() == 1);
  h.Remove(detached);
  CHECK(h.UsedCpus() == 0);
  CHECK_FALSE(h.core.FindObject(detached));
}

TEST_CASE("a group that an unfinished task made ends with its worker") {
  GroupHarness h(2);
  const TaskId task = h.Submit(GroupHarness::Library());
  const WorkerId worker = h.WorkerOf(task);
  const GroupId group =
      h.Make({Resources(1)}, false, {.session = h.workers.at(worker).session, .parent = task});
  REQUIRE(h.Row(group).state == "CREATED");
  h.Lose(worker);
  CHECK(h.Row(group).state == "REMOVED");
}

TEST_CASE("nobody needs a reference to keep a group") {
  GroupHarness h(2);
  const TaskId task = h.Submit(GroupHarness::Library("f", 2));
  const GroupId group = h.Make({Resources(1)});
  REQUIRE(h.Release({group}).ok());
  h.Finish(task);
  CHECK(h.Row(group).state == "CREATED");
  CHECK(h.Running(h.Submit(GroupHarness::In(group))));
}

TEST_CASE("CPUs of a group count in fairness like others") {
  CHECK(FairCpuUnits(InGroup(Resources(2), 77, 1)) == 2 * Resources::kUnit);
  CHECK(FairCpuUnits(InGroup(Resources(2), 77, kAnyBundle)) == 2 * Resources::kUnit);
  Resources odd(1);
  odd.SetCustom("CPU_group_chat", 3);
  CHECK(FairCpuUnits(odd) == Resources::kUnit);
  CHECK(WithoutGroups(odd) == odd);
  CHECK(WithoutGroups(OfBundles({Disk(1, 2)}, 77)) == Resources());
}

TEST_CASE("a group without bundles, or with too many, is refused") {
  GroupHarness h;
  GroupSpec spec;
  spec.id = h.NextId(CoreHarness::kDriver);
  spec.session = CoreHarness::kDriver;
  CHECK(h.core.OnGroupSubmitted(spec, h.now).code() == Code::kInvalidArgument);
  spec.bundles.resize(limits::kMaxBundles + 1);
  CHECK(h.core.OnGroupSubmitted(spec, h.now).code() == Code::kInvalidArgument);
  spec.bundles = {Resources(-1)};
  CHECK(h.core.OnGroupSubmitted(spec, h.now).code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace kiln::core
