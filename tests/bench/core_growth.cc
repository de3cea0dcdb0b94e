// How the core's cost grows: fake workers, 1 to 1,024 of them, and 10^3 to 10^7 queued tasks.
//
//   core_growth [--workers N] [--queued M] [--drivers D] [--most-queued M]
//
// Prints a JSON line for each pair: tasks per second through submit, dispatch, finish, delivery and
// release, and the memory of a queued task. No process, transport or encoding takes part, so this
// is the ceiling of one head loop. See docs/benchmarks.md, "Cost as it grows".
#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/limits.h"
#include "daemon/core/core.h"

namespace kiln::core {
namespace {

// What a worker reports in one frame batch, and a driver waits for and releases in one.
constexpr size_t kBatch = 16;
constexpr microseconds kTaskTime{5};
constexpr SessionNumber kFirstDriver = 1'000'000;

struct FakeWorker {
  std::deque<TaskId> queue;
};

struct Figures {
  double submit_ns = 0;  // per task
  double rest_ns = 0;    // dispatch, finish, delivery, release
  double bytes = 0;      // per queued task
  uint64_t recalls = 0;
};

// CPU time of this thread: others may be busy on this machine.
double NowNs() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

size_t UsedBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

CoreOptions Options(int workers) {
  CoreOptions options;
  options.total = Resources(workers);
  options.num_workers = workers;
  options.max_workers = workers + limits::kExtraWorkers;
  options.max_queued_tasks = uint64_t{1} << 40;
  options.max_queued_bytes = uint64_t{1} << 50;
  return options;
}

// Drivers, a core, and workers that end each task in kTaskTime of a clock of their own.
class World {
 public:
  World(int workers, int drivers) : core_(Options(workers)), drivers_(drivers) {
    core_.OnStart(now_);
    Turn();
    for (int i = 0; i < drivers; ++i) {
      core_.OnSessionOpened(kFirstDriver + static_cast<SessionNumber>(i), SessionKind::kDriver,
                            kLibraryHost, now_);
    }
    TaskClass task_class;
    task_class.library = "/lib.so";
    task_class.function = task_class.name = "no-op";
    class_ = core_.InternClass(task_class).value();
    sequences_.resize(static_cast<size_t>(drivers));
  }

  // Queues `count` tasks and lets the workers end them all.
  Figures Run(size_t count) {
    Figures figures;
    const Wants wants = Name(count);
    const size_t before = UsedBytes();
    const double begin = NowNs();
    for (const auto& [session, ids] : wants) {
      for (ObjectId id : ids) SubmitOne(session, id);
    }
    const double submitted = NowNs();
    figures.bytes = static_cast<double>(UsedBytes() - before) / static_cast<double>(count);
    const double queued = NowNs();
    Turn();
    for (const auto& [session, ids] : wants) core_.OnWanted(session, ids, true, 0, 0, now_);
    while (core_.GetTotals().tasks_ready + core_.GetTotals().tasks_running > 0) Round();
    Turn();
    const double end = NowNs();
    figures.submit_ns = (submitted - begin) / static_cast<double>(count);
    figures.rest_ns = (end - queued) / static_cast<double>(count);
    figures.recalls = recalls_;
    return figures;
  }

 private:
  using Ids = std::vector<ObjectId>;
  using Wants = std::vector<std::pair<SessionNumber, Ids>>;  // what is asked for in one frame

  // Names the tasks to come, a batch of each driver in turn.
  Wants Name(size_t count) {
    Wants wants;
    for (size_t i = 0; i < count; i += kBatch) {
      const size_t driver = i / kBatch % static_cast<size_t>(drivers_);
      const SessionNumber session = kFirstDriver + static_cast<SessionNumber>(driver);
      const bool joins = !wants.empty() && wants.back().first == session;
      if (!joins || wants.back().second.size() > 1000) wants.emplace_back(session, Ids());
      for (size_t k = i; k < std::min(count, i + kBatch); ++k) {
        wants.back().second.push_back(MakeObjectId(session, ++sequences_[driver]));
      }
    }
    return wants;
  }

  void SubmitOne(SessionNumber session, ObjectId id) {
    TaskSpec spec;
    spec.session = session;
    spec.id = id;
    spec.task_class = class_;
    spec.args = "8 bytes.";
    if (!core_.OnTaskSubmitted(std::move(spec), now_).ok()) std::abort();
  }

  // Every worker that has something runs a batch of it, then the core is asked what is next.
  void Round() {
    now_ += kTaskTime * kBatch;
    if (core_.NextTimer() <= now_) core_.OnTimer(now_);
    Turn();
    busy_.clear();
    for (auto& [id, worker] : workers_) {
      if (!worker.queue.empty()) busy_.push_back(id);
    }
    for (WorkerId id : busy_) {
      FakeWorker& worker = workers_[id];
      for (size_t i = 0; i < kBatch && !worker.queue.empty(); ++i) {
        outcome_.results.resize(1);
        outcome_.results[0].value.emplace<std::string>("a result");
        outcome_.run_time = kTaskTime;
        const TaskId task = worker.queue.front();
        worker.queue.pop_front();
        core_.OnTaskFinished(id, task, std::move(outcome_), now_);
      }
      Turn();
    }
  }

  // As Head::AfterTurn, with the look-ups that sending needs.
  void Turn() {
    for (;;) {
      core_.TakeDecisions(decisions_);
      if (decisions_.empty()) break;
      for (const Decision& decision : decisions_) {
        std::visit([this](const auto& what) { Apply(what); }, decision);
      }
      for (WorkerId id : std::exchange(started_, {})) {
        (void)core_.OnWorkerReady(id, static_cast<SessionNumber>(id), 1, now_);
      }
      for (auto& [session, ids] : delivered_) {
        if (!ids.empty()) (void)core_.OnReleased(session, ids, now_);
        ids.clear();
      }
    }
  }

  void Apply(const StartWorker& start) {
    workers_[start.worker];
    started_.push_back(start.worker);
  }
  void Apply(const RunTask& run) {
    if (!core_.FindTask(run.task)) std::abort();
    workers_[run.worker].queue.push_back(run.task);
  }
  void Apply(const DeliverObject& deliver) {
    if (!core_.FindObject(deliver.object)) std::abort();
    delivered_[deliver.session].push_back(deliver.object);
  }
  void Apply(const RecallTasks& recall) {
    ++recalls_;
    std::vector<TaskId> back;
    std::deque<TaskId>& queue = workers_[recall.worker].queue;
    for (TaskId task : recall.tasks) {
      if (std::erase(queue, task) > 0) back.push_back(task);
    }
    core_.OnTasksReturned(recall.worker, back, false, now_);
  }
  template <typename Other>
  void Apply(const Other&) {}

  Core core_;
  const int drivers_;
  Time now_{std::chrono::hours(1)};
  ClassId class_ = 0;
  std::unordered_map<WorkerId, FakeWorker> workers_;
  std::vector<WorkerId> started_, busy_;
  std::unordered_map<SessionNumber, std::vector<ObjectId>> delivered_;
  std::vector<uint64_t> sequences_;  // last id of each driver
  TaskOutcome outcome_;
  std::vector<Decision> decisions_;
  uint64_t recalls_ = 0;
};

void Measure(int workers, size_t queued, int drivers) {
  World world(workers, drivers);
  world.Run(1000);  // the class is measured, the tables have their first pages
  // Few tasks are done often, so that the clock sees something.
  const size_t repeats = std::max<size_t>(1, 200'000 / queued);
  std::vector<Figures> all;
  for (size_t i = 0; i < repeats; ++i) all.push_back(world.Run(queued));
  double submit_ns = 0, rest_ns = 0;
  for (const Figures& figures : all) {
    submit_ns += figures.submit_ns / static_cast<double>(repeats);
    rest_ns += figures.rest_ns / static_cast<double>(repeats);
  }
  std::printf(
      "{\"name\":\"core growth\",\"workers\":%d,\"queued\":%zu,\"drivers\":%d,\"value\":%.0f,"
      "\"unit\":\"tasks/s\",\"ns_per_task\":%.1f,\"submit_ns\":%.1f,\"bytes_per_task\":%.1f}\n",
      workers, queued, drivers, 1e9 / (submit_ns + rest_ns), submit_ns + rest_ns, submit_ns,
      all.back().bytes);
  std::fflush(stdout);
}

}  // namespace
}  // namespace kiln::core

int main(int argc, char** argv) {
  std::vector<int> workers = {1, 2, 4, 16, 64, 256, 1024};
  std::vector<size_t> queued = {1'000, 10'000, 100'000, 1'000'000, 10'000'000};
  size_t most_queued = 10'000'000;
  int drivers = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const size_t value = std::strtoull(argv[i + 1], nullptr, 10);
    if (flag == "--workers") workers = {static_cast<int>(value)};
    if (flag == "--queued") queued = {value};
    if (flag == "--drivers") drivers = std::max(1, static_cast<int>(value));
    if (flag == "--most-queued") most_queued = value;
  }
  for (int count : workers) {
    for (size_t tasks : queued) {
      if (tasks <= most_queued) kiln::core::Measure(count, tasks, drivers);
    }
  }
  return 0;
}
