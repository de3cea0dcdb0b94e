// The world's drivers, and what the head does by itself.
#include <algorithm>
#include <utility>

#include "tests/random/simulation.h"

namespace kiln::core {
namespace {

constexpr ProgramId kPythonHost = 3;  // no driver's

void EraseOne(std::vector<ObjectId>& ids, ObjectId id) {
  auto at = std::find(ids.begin(), ids.end(), id);
  if (at != ids.end()) ids.erase(at);
}

}  // namespace

Driver* Simulation::AnyDriver() {
  if (drivers_.empty()) return nullptr;
  return &drivers_[static_cast<size_t>(Number(static_cast<int>(drivers_.size())))];
}

void Simulation::OpenDriver() {
  Driver driver;
  driver.session = next_session_++;
  driver.program = static_cast<ProgramId>(Number(3));  // 0: all its tasks name a library
  drivers_.push_back(driver);
  const bool keep_ready = driver.program != kLibraryHost && Chance(30);
  core_.OnSessionOpened(driver.session, SessionKind::kDriver, driver.program, now_, keep_ready);
}

void Simulation::CloseDriver(size_t index) {
  const SessionNumber session = drivers_[index].session;
  std::erase_if(wanted_, [&](const auto& entry) { return entry.first.first == session; });
  drivers_.erase(drivers_.begin() + static_cast<std::ptrdiff_t>(index));
  core_.OnSessionClosed(session, now_);
}

TaskClass Simulation::RandomClass(ProgramId program) {
  TaskClass task_class;
  task_class.program = program;
  if (program == kLibraryHost || Chance(50)) {
    const bool python = Chance(15);
    task_class.library = python ? "python:/lib" : "/lib.so";
    task_class.program = python ? kPythonHost : kLibraryHost;
  }
  task_class.function = "f" + std::to_string(Number(2));
  task_class.name = task_class.function;
  const double cpus[] = {1, 1, 1, 1, 0.5, 2, 0, 5};
  task_class.resources = Resources(cpus[Number(Chance(95) ? 7 : 8)]);
  if (Chance(5)) task_class.resources.SetCustom("disk", 1);
  task_class.max_retries = Number(4) - 1;
  task_class.retry_exceptions = Chance(20);
  if (task_class.max_retries < 0) task_class.retry_exceptions = false;
  if (Chance(10)) task_class.timeout = milliseconds(1 + Number(50));
  if (Chance(20)) task_class.priority = Number(3) - 1;
  task_class.detached = Chance(5);
  if (Chance(10)) task_class.num_returns = 2;
  task_class.streaming = task_class.num_returns == 1 && !task_class.detached && Chance(25);
  if (task_class.streaming) task_class.stream_window = static_cast<uint32_t>(Number(4));
  return task_class;
}

TaskId Simulation::Submit(const Submitter& by, const std::vector<ObjectId>& known,
                          std::vector<ObjectId>& held) {
  TaskClass task_class = RandomClass(by.program);
  PutIntoGroup(task_class, known);
  TaskSpec spec;
  spec.id = NextId(by.session, task_class.num_returns);
  spec.task_class = core_.InternClass(task_class).value();
  GiveArguments(spec, by, known);
  std::vector<ObjectId>& given = given_[spec.id];
  given = spec.refs;
  given.insert(given.end(), spec.nested_refs.begin(), spec.nested_refs.end());
  limits_[spec.id] = by.limit;
  uint64_t floor = by.limit + 1;
  for (ObjectId id : given) floor = std::min(floor, FloorOf(id));
  ++submitted_;
  for (uint32_t i = 0; i < task_class.num_returns; ++i) {
    held.push_back(spec.id + i);
    floors_[spec.id + i] = floor;
    const bool for_head = task_class.detached && by.session != kHeadSession;
    if (for_head) head_held_.push_back(spec.id + i);
  }
  const TaskId id = spec.id;
  Check(core_.OnTaskSubmitted(std::move(spec), now_).ok(), "refuses a good task");
  Pump();
  return id;
}

void Simulation::GiveArguments(TaskSpec& spec, const Submitter& by,
                               const std::vector<ObjectId>& known) {
  spec.session = by.session;
  spec.parent = by.parent;
  spec.args = std::string(static_cast<size_t>(Number(100)), 'x');
  spec.refs = Some(known, 2);
  spec.nested_refs = Some(known, 2);
  if (Chance(2)) spec.refs.push_back(MakeObjectId(by.session, kMaxSequence));  // never made
}

void Simulation::Want(SessionNumber session, const std::vector<ObjectId>& ids, TaskId blocked,
                      uint32_t needed) {
  for (ObjectId id : ids) ++wanted_[{session, id}];
  core_.OnWanted(session, ids, true, blocked, needed, now_);
  Pump();
}

void Simulation::Release(SessionNumber session, const std::vector<ObjectId>& ids) {
  Check(core_.OnReleased(session, ids, now_).ok(), "refuses to release what is held");
  Pump();
}

void Simulation::StepDriver() {
  if (drivers_.size() < 3 && Chance(5)) return OpenDriver();
  if (!drivers_.empty() && Chance(1)) {
    return CloseDriver(static_cast<size_t>(Number(static_cast<int>(drivers_.size()))));
  }
  Driver* driver = AnyDriver();
  if (driver == nullptr) return;
  const SessionNumber session = driver->session;
  std::vector<ObjectId>& held = driver->held;
  if (Chance(30) && Consume(*driver)) return;
  const Submitter self{session, 0, driver->program, 0, {session, 0}};
  if (Chance(30)) return StepActors(self, held, held);
  if (Chance(5)) return StepGroups(self, held, held);
  switch (Number(12)) {
    case 0: {
      const ObjectId id = NextId(session);
      Check(core_.OnObjectPut(session, id, "value", Some(held, 2), now_).ok(), "refuses a put");
      held.push_back(id);
      break;
    }
    case 1: {
      const ObjectId id = NextId(session);
      Check(core_.OnObjectCreated(session, id, NextSlice()).ok(), "refuses a create");
      driver->creating.push_back(id);
      break;
    }
    case 2:
      if (driver->creating.empty()) break;
      if (Chance(70)) {
        // Only older ones: a result of a task that was given this object could name it in turn.
        std::vector<ObjectId> contained = Some(held, 1);
        std::erase_if(contained, [&](ObjectId id) { return id > driver->creating.back(); });
        Check(core_.OnObjectSealed(session, driver->creating.back(), contained, now_).ok(),
              "refuses a seal");
        held.push_back(driver->creating.back());
      } else {
        Check(core_.OnObjectAborted(session, driver->creating.back()).ok(), "refuses an abort");
      }
      driver->creating.pop_back();
      break;
    case 3:
      Want(session, Some(held, 4), 0, 0);
      break;
    case 4:
    case 5:
      for (ObjectId id : Some(held, 5)) {
        if (!std::count(held.begin(), held.end(), id)) continue;
        Release(session, {id});
        EraseOne(held, id);
      }
      break;
    case 6: {
      const std::vector<ObjectId> some = Some(held, 2);
      core_.OnRetained(session, some);
      held.insert(held.end(), some.begin(), some.end());
      break;
    }
    case 7:
      for (ObjectId id : Some(held, 1)) {
        if (Chance(50)) Check(core_.OnCancel(id, Chance(30), now_).ok(), "refuses a cancel");
      }
      break;
    default: {
      std::vector<ObjectId> known = held;
      if (!driver->creating.empty() && Chance(20)) known.push_back(driver->creating.back());
      for (int burst = Chance(5) ? 30 : 1; burst > 0; --burst) {
        Submit(self, known, driver->held);
      }
    }
  }
}

bool Simulation::Consume(Driver& driver) {
  std::vector<TaskId> behind;
  for (const auto& [id, stream] : driver.streams) {
    if (stream.consumed < stream.received) behind.push_back(id);
  }
  if (behind.empty()) return false;
  const TaskId id = behind[static_cast<size_t>(Number(static_cast<int>(behind.size())))];
  FakeStream& stream = driver.streams[id];
  stream.consumed += 1 + random_() % (stream.received - stream.consumed);
  const Status status =
      core_.OnStreamConsumed(driver.session, id, stream.consumed, Chance(3), now_);
  Check(status.ok(), "refuses an honest count: " + status.message());
  return true;
}

bool Simulation::ConsumeAny() {
  for (Driver& driver : drivers_) {
    if (!Consume(driver)) continue;
    Pump();
    return true;
  }
  return false;
}

void Simulation::StepHead() {
  switch (Number(6)) {
    case 5:
      if (Chance(30)) KillAnyActor();
      break;
    case 0: {
      const JobId job = next_job_++;
      jobs_waiting_.insert(job);
      const Resources asked(Number(3));
      if (!core_.OnJobSubmitted(job, asked, now_).ok()) {
        Check(!asked.FitsIn(options_.total), "refuses a job that fits");
        jobs_waiting_.erase(job);
      }
      break;
    }
    case 1:
    case 2: {
      std::set<JobId>& jobs = Chance(20) ? jobs_waiting_ : jobs_running_;
      if (jobs.empty()) break;
      const JobId job = *jobs.begin();
      jobs.erase(job);
      core_.OnJobEnded(job, now_);
      break;
    }
    case 3:
      Submit({}, head_held_, head_held_);
      break;
    default: {
      const std::vector<ObjectId> some = Some(head_held_, 1);
      if (some.empty()) break;
      Want(kHeadSession, some, 0, 0);
      const ObjectId id = some.front();
      if (Chance(70)) {
        Release(kHeadSession, {id});
        EraseOne(head_held_, id);
      } else {
        Check(core_.SetTimeToLive(id, now_ + milliseconds(Number(100))).ok(), "refuses a ttl");
        std::erase(head_held_, id);
      }
    }
  }
}

}  // namespace kiln::core
