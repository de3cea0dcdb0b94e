#include "worker/class_proto.h"

#include <cmath>
#include <map>
#include <stdexcept>
#include <string>

#include "common/limits.h"

namespace kiln::worker {
namespace {

[[noreturn]] void Refuse(const char* options, const std::string& what) {
  throw std::invalid_argument(std::string(options) + ": " + what);
}

void CheckResources(const char* options, double num_cpus,
                    const std::map<std::string, double>& resources) {
  auto check_amount = [options](const std::string& name, double amount) {
    if (std::isfinite(amount) && amount >= 0) return;
    Refuse(options, name + " is " + std::to_string(amount) + ", it must be 0 or more");
  };
  check_amount("num_cpus", num_cpus);
  for (const auto& [name, amount] : resources) check_amount(name, amount);
}

void CheckRepeats(const char* options, const std::string& name, int count) {
  if (count >= -1) return;
  Refuse(options, name + " is " + std::to_string(count) +
                      "; it must be -1 (without end), 0 (never) or more");
}

void CheckReturns(const char* options, uint32_t num_returns) {
  if (num_returns >= 1 && num_returns <= limits::kMaxReturns) return;
  Refuse(options, "num_returns is " + std::to_string(num_returns) + ", it must be 1 to " +
                      std::to_string(limits::kMaxReturns));
}

void Fill(double num_cpus, uint64_t memory, const std::map<std::string, double>& resources,
          v1::Resources* out) {
  out->set_num_cpus(num_cpus);
  out->set_memory_bytes(memory);
  for (const auto& [name, amount] : resources) (*out->mutable_custom())[name] = amount;
}

void Check(const ActorOptions& options) {
  CheckResources("ActorOptions", options.num_cpus.value_or(1), options.resources);
  CheckRepeats("ActorOptions", "max_restarts", options.max_restarts);
  CheckRepeats("ActorOptions", "max_task_retries", options.max_task_retries);
  if (options.max_concurrency == 0) Refuse("ActorOptions", "max_concurrency must be 1 or more");
  for (const auto& [name, threads] : options.concurrency_groups) {
    if (name.empty()) Refuse("ActorOptions", "a concurrency group needs a name");
    if (threads == 0) Refuse("ActorOptions", "concurrency group " + name + " has no threads");
  }
  if (options.get_if_exists && options.name.empty()) {
    Refuse("ActorOptions", "get_if_exists needs a name");
  }
}

}  // namespace

v1::TaskClass ToProto(std::string_view library, std::string_view function,
                      const TaskOptions& options) {
  CheckResources("TaskOptions", options.num_cpus, options.resources);
  CheckRepeats("TaskOptions", "max_retries", options.max_retries);
  if (options.timeout.count() < 0) Refuse("TaskOptions", "timeout must be 0 (none) or more");
  CheckReturns("TaskOptions", options.num_returns);
  v1::TaskClass out;
  out.set_library(library.data(), library.size());
  out.set_function(function.data(), function.size());
  out.set_name(options.name);
  Fill(options.num_cpus, options.memory, options.resources, out.mutable_resources());
  out.set_max_retries(options.max_retries);
  out.set_retry_exceptions(options.retry_exceptions);
  out.set_timeout_ms(options.timeout.count());
  out.set_priority(options.priority);
  out.set_detached(options.detached);
  out.set_num_returns(options.num_returns);
  return out;
}

v1::TaskClass ToProto(const detail::ActorConstructor& constructor, const ActorOptions& options) {
  Check(options);
  v1::TaskClass out;
  out.set_library(constructor.library);
  out.set_function(constructor.function);
  out.set_name(constructor.class_name);
  Fill(options.num_cpus.value_or(1), options.memory, options.resources, out.mutable_resources());
  out.set_detached(options.detached);
  out.set_num_returns(1);
  v1::ActorOptions* actor = out.mutable_actor();
  Fill(options.num_cpus.value_or(0), options.memory, options.resources, actor->mutable_held());
  actor->set_max_restarts(options.max_restarts);
  actor->set_max_concurrency(options.max_concurrency);
  actor->mutable_concurrency_groups()->insert(options.concurrency_groups.begin(),
                                              options.concurrency_groups.end());
  return out;
}

int RetriesOf(const detail::ActorMethod& method, const CallOptions& options) {
  return options.max_task_retries.value_or(method.actor_class.max_task_retries);
}

v1::TaskClass ToProto(const detail::ActorMethod& method, const CallOptions& options) {
  const int retries = RetriesOf(method, options);
  CheckRepeats("CallOptions", "max_task_retries", retries);
  CheckReturns("CallOptions", options.num_returns);
  v1::TaskClass out;
  out.set_function(std::string(method.name));
  out.set_name(options.name.empty() ? method.actor_class.name + "." + std::string(method.name)
                                    : options.name);
  if (method.each) out.mutable_function()->append(detail::kEachSuffix);
  out.mutable_resources()->set_num_cpus(0);
  out.set_max_retries(retries);
  out.set_retry_exceptions(options.retry_exceptions);
  out.set_num_returns(options.num_returns);
  out.set_method(true);
  out.set_concurrency_group(options.concurrency_group);
  out.set_any_language(method.any_language);
  return out;
}

v1::ActorClass ToActorClass(const detail::ActorConstructor& constructor,
                            const ActorOptions& options) {
  v1::ActorClass out;
  out.set_name(constructor.class_name);
  out.set_language(constructor.language);
  for (const std::string& name : constructor.methods) {
    v1::ActorMethod* method = out.add_methods();
    method->set_name(name);
    method->set_num_returns(1);
  }
  out.set_max_task_retries(options.max_task_retries);
  out.set_max_pending_calls(options.max_pending_calls);
  return out;
}

detail::ActorClass FromProto(const v1::ActorClass& actor_class) {
  return {actor_class.name(), actor_class.language(), actor_class.max_task_retries(),
          actor_class.max_pending_calls()};
}

}  // namespace kiln::worker
