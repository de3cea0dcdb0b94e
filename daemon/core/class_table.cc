#include "daemon/core/class_table.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "common/limits.h"
#include "daemon/core/group_resources.h"

namespace kiln::core {
namespace {

// Weight of the newest run time: a class that turns slow is known after a handful of tasks.
constexpr double kNewestWeight = 0.25;

constexpr double kPipelineWorkUs =
    std::chrono::duration<double, std::micro>(limits::kPipelineWork).count();
static_assert(kPipelineWorkUs < 65'536, "Task::ahead_us has 16 bits");

Status Invalid(const TaskClass& task_class, const std::string& what) {
  return Status(Code::kInvalidArgument, "task class '" + task_class.name + "': " + what);
}

bool AnyNegative(const Resources& resources) {
  if (resources.num_cpus() < 0 || resources.memory_bytes() < 0) return true;
  return std::any_of(resources.custom().begin(), resources.custom().end(),
                     [](const auto& entry) { return entry.second < 0; });
}

Status CheckActor(const TaskClass& task_class) {
  const ActorOptions& options = *task_class.actor;
  if (task_class.streaming || task_class.num_returns != 1) {
    return Invalid(task_class, "is a constructor and has results");
  }
  if (options.max_restarts < -1) {
    return Invalid(task_class, "max_restarts is " + std::to_string(options.max_restarts) +
                                   ", must be -1 (without end) or more");
  }
  if (AnyNegative(options.held)) {
    return Invalid(task_class, "an amount of resources is negative or not a number");
  }
  if (options.groups.size() > limits::kMaxCallGroups) {
    return Invalid(task_class, "has " + std::to_string(options.groups.size()) +
                                   " concurrency groups, at most " +
                                   std::to_string(limits::kMaxCallGroups) + " are allowed");
  }
  const auto check_limit = [&](const std::string& name, uint32_t limit) {
    if (limit >= 1 && limit <= limits::kMaxConcurrency) return Status();
    return Invalid(task_class, name + " is " + std::to_string(limit) + ", must be 1 to " +
                                   std::to_string(limits::kMaxConcurrency));
  };
  if (Status s = check_limit("max_concurrency", options.max_concurrency); !s.ok()) return s;
  for (const auto& [name, limit] : options.groups) {
    if (name.empty()) return Invalid(task_class, "has a concurrency group without a name");
    if (Status s = check_limit("concurrency group " + name, limit); !s.ok()) return s;
  }
  return {};
}

Status Check(const TaskClass& task_class) {
  if (task_class.name.empty()) return Invalid(task_class, "has no name");
  if (task_class.function.empty()) return Invalid(task_class, "names no function");
  if (task_class.num_returns < 1 || task_class.num_returns > limits::kMaxReturns) {
    return Invalid(task_class, "num_returns is " + std::to_string(task_class.num_returns) +
                                   ", must be 1 to " + std::to_string(limits::kMaxReturns));
  }
  if (task_class.streaming && (task_class.num_returns != 1 || task_class.detached)) {
    return Invalid(task_class, task_class.detached
                                   ? "is streaming and detached; a stream ends with its consumer"
                                   : "is streaming and has more than one result");
  }
  if (task_class.max_retries < -1) {
    return Invalid(task_class, "max_retries is " + std::to_string(task_class.max_retries) +
                                   ", must be -1 (without end) or more");
  }
  if (task_class.timeout < Duration{0}) return Invalid(task_class, "timeout is negative");
  if (AnyNegative(task_class.resources)) {
    return Invalid(task_class, "an amount of resources is negative or not a number");
  }
  if (task_class.bundle_index < kAnyBundle) {
    return Invalid(task_class, "bundle_index is " + std::to_string(task_class.bundle_index) +
                                   ", must be -1 (any) or more");
  }
  if (task_class.actor && task_class.method)
    return Invalid(task_class, "makes an actor and calls one");
  if (task_class.actor) return CheckActor(task_class);
  return {};
}

}  // namespace

Result<ClassId> ClassTable::Intern(TaskClass task_class) {
  if (auto known = by_class_.find(task_class); known != by_class_.end()) return known->second;
  if (Status status = Check(task_class); !status.ok()) return status;
  const auto id = static_cast<ClassId>(classes_.size());
  const ShapeId shape = InternShape(task_class);
  by_class_.emplace(task_class, id);
  const bool repeatable =
      task_class.max_retries != 0 && task_class.timeout == Duration{0} && !task_class.actor;
  Resources held;
  if (task_class.actor) {
    held = task_class.actor->held;
    const bool renamed = task_class.placement_group != 0 && held != Resources();
    if (renamed) held = InGroup(held, task_class.placement_group, task_class.bundle_index);
  }
  classes_.push_back(Record{std::move(task_class), shape, -1, std::move(held), repeatable});
  return id;
}

ShapeId ClassTable::InternShape(const TaskClass& task_class) {
  const ProgramId program = task_class.program;
  const GroupId group = task_class.placement_group;
  const Resources resources = group == 0 || task_class.method
                                  ? task_class.resources
                                  : InGroup(task_class.resources, group, task_class.bundle_index);
  const auto next = static_cast<ShapeId>(shapes_.size());
  const bool creation = task_class.actor.has_value();
  auto [entry, fresh] = by_shape_.emplace(std::tuple{program, resources, creation}, next);
  if (fresh) {
    shapes_.push_back(Shape{program, resources, FairCpuUnits(resources), creation, group != 0});
  }
  return entry->second;
}

void ClassTable::NoteRunTime(ClassId id, microseconds run_time) {
  double& mean = classes_[id].mean_run_us;
  const double newest = std::max<double>(0, static_cast<double>(run_time.count()));
  mean = mean < 0 ? newest : mean + kNewestWeight * (newest - mean);
}

std::optional<uint16_t> ClassTable::AheadUs(ClassId id) const {
  const Record& record = classes_[id];
  if (!record.repeatable || !IsShort(id)) return std::nullopt;
  return static_cast<uint16_t>(std::max(std::ceil(record.mean_run_us), 1.0));
}

bool ClassTable::IsShort(ClassId id) const {
  const double mean = classes_[id].mean_run_us;
  return mean >= 0 && mean <= kPipelineWorkUs;
}

}  // namespace kiln::core
