#include "daemon/services/json_task.h"

#include <utility>

#include "common/value/json.h"
#include "daemon/services/call.h"
#include "kiln/v1/task.pb.h"

namespace kiln::services {
namespace {

// An argument that is a ref is passed by value, as in a session; refs inside are kept alive.
Status AddArgument(const std::string& json, size_t index, v1::ArgList* list, core::TaskSpec* spec) {
  Result<value::JsonArgument> argument = value::ParseJson(json);
  if (!argument.ok()) {
    return Status(argument.status().code(), "argument " + std::to_string(index + 1) + " (" +
                                                json.substr(0, 80) +
                                                "): " + argument.status().message());
  }
  v1::Arg* arg = list->add_args();
  if (argument->ref) {
    arg->set_ref_index(static_cast<uint32_t>(spec->refs.size()));
    spec->refs.push_back(*argument->ref);
  } else {
    arg->set_value(std::move(argument->value));
    spec->nested_refs.insert(spec->nested_refs.end(), argument->contained.begin(),
                             argument->contained.end());
  }
  return Status();
}

}  // namespace

Result<TaskId> SubmitJson(const Context& context, const JsonTask& task) {
  core::Core* core = context.core;
  if (context.sessions->closed()) {
    return Status(Code::kUnavailable, context.sessions->closed_reason());
  }
  if (core->QueueFull()) {
    return Status(Code::kResourceExhausted, "the head's queue is full; try again later");
  }
  const uint32_t num_returns = core->GetClass(task.task_class).num_returns;
  core::TaskSpec spec;
  spec.id = context.head_session->NextIds(num_returns);
  spec.task_class = task.task_class;
  spec.actor = task.actor;
  v1::ArgList list;
  for (int i = 0; i < task.json_args.size(); ++i) {
    Status status = AddArgument(task.json_args[i], static_cast<size_t>(i), &list, &spec);
    if (!status.ok()) return status;
  }
  for (ObjectId ref : spec.refs) {
    if (!core->FindObject(ref)) {
      return Status(Code::kNotFound, "argument refers to " + FormatRef(ref) +
                                         ", which this head does not know; it was released, or "
                                         "belongs to another head");
    }
    if (core->FindActor(ref)) {
      return Status(Code::kInvalidArgument,
                    "argument refers to " + FormatRef(ref) +
                        ", which is an actor; only programs can pass one on");
    }
  }
  spec.args = list.SerializeAsString();
  const TaskId id = spec.id;
  Status status = core->OnTaskSubmitted(std::move(spec), Clock::now());
  if (!status.ok()) return status;
  for (uint32_t i = 0; i < num_returns && task.ttl_ms > 0; ++i) {
    (void)core->SetTimeToLive(id + i, TimeIn(task.ttl_ms));
  }
  return id;
}

}  // namespace kiln::services
