// Tasks for clients without a session.
#include <utility>

#include "common/limits.h"
#include "common/value/json.h"
#include "daemon/services/call.h"
#include "daemon/sessions/convert.h"
#include "kiln/v1/task.grpc.pb.h"

namespace kiln::services {
namespace {

class TasksService : public v1::Tasks::CallbackService {
 public:
  explicit TasksService(const Context* context) : context_(context) {}

  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext* call, const v1::RunRequest* request,
                                v1::RunResponse* response) override {
    return OnLoop(*context_, call, [this, request, response] { return DoRun(*request, response); });
  }

  grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext* call,
                                   const v1::CancelRequest* request,
                                   v1::CancelResponse* response) override {
    return OnLoop(*context_, call,
                  [this, request, response] { return DoCancel(*request, response); });
  }

 private:
  Status DoRun(const v1::RunRequest& request, v1::RunResponse* response);
  Status DoCancel(const v1::CancelRequest& request, v1::CancelResponse* response);
  Result<core::ClassId> InternClass(const v1::RunRequest& request);

  const Context* const context_;
};

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

Result<core::ClassId> TasksService::InternClass(const v1::RunRequest& request) {
  v1::TaskClass options = request.options();
  if (!request.has_options()) options.set_max_retries(core::TaskClass().max_retries);
  options.set_library(request.library());
  options.set_function(request.function());
  options.set_detached(true);
  if (request.library().empty()) {
    return Status(
        Code::kInvalidArgument,
        "no task library named; only functions of libraries can be run without a session");
  }
  if (options.streaming()) {
    return Status(Code::kInvalidArgument,
                  "options.streaming: a stream needs a session that consumes it");
  }
  Result<core::TaskClass> task_class =
      sessions::FromProto(options, core::kLibraryHost, context_->launcher->PythonHosts());
  if (!task_class.ok()) return task_class.status();
  return context_->core->InternClass(std::move(*task_class));
}

Status TasksService::DoRun(const v1::RunRequest& request, v1::RunResponse* response) {
  core::Core* core = context_->core;
  if (context_->sessions->closed()) {
    return Status(Code::kUnavailable, context_->sessions->closed_reason());
  }
  if (core->QueueFull()) {
    return Status(Code::kResourceExhausted, "the head's queue is full; try again later");
  }
  Result<core::ClassId> task_class = InternClass(request);
  if (!task_class.ok()) return task_class.status();
  uint32_t num_returns = core->GetClass(*task_class).num_returns;
  core::TaskSpec spec;
  spec.id = context_->head_session->NextIds(num_returns);
  spec.task_class = *task_class;
  v1::ArgList list;
  for (int i = 0; i < request.json_args_size(); ++i) {
    Status status = AddArgument(request.json_args(i), static_cast<size_t>(i), &list, &spec);
    if (!status.ok()) return status;
  }
  for (ObjectId ref : spec.refs) {
    if (!core->FindObject(ref)) {
      return Status(Code::kNotFound, "argument refers to " + FormatRef(ref) +
                                         ", which this head does not know; it was released, or "
                                         "belongs to another head");
    }
  }
  spec.args = list.SerializeAsString();
  TaskId id = spec.id;
  Time now = Clock::now();
  if (Status status = core->OnTaskSubmitted(std::move(spec), now); !status.ok()) return status;
  for (uint32_t i = 0; i < num_returns; ++i) {
    response->add_refs(FormatRef(id + i));
    if (request.ttl_ms() > 0) {
      (void)core->SetTimeToLive(id + i, TimeIn(request.ttl_ms()));
    }
  }
  return Status();
}

Status TasksService::DoCancel(const v1::CancelRequest& request, v1::CancelResponse* response) {
  Result<ObjectId> id = ReadRef(request.ref());
  if (!id.ok()) return id.status();
  Result<core::CancelOutcome> outcome =
      context_->core->OnCancel(*id, request.force(), Clock::now());
  if (!outcome.ok()) return outcome.status();
  switch (*outcome) {
    case core::CancelOutcome::kDropped:
      response->set_outcome(v1::CancelResponse::OUTCOME_DROPPED);
      break;
    case core::CancelOutcome::kAsked:
      response->set_outcome(v1::CancelResponse::OUTCOME_ASKED);
      break;
    case core::CancelOutcome::kKilled:
      response->set_outcome(v1::CancelResponse::OUTCOME_KILLED);
      break;
    case core::CancelOutcome::kFinished:
      response->set_outcome(v1::CancelResponse::OUTCOME_FINISHED);
      break;
  }
  return Status();
}

}  // namespace

std::unique_ptr<grpc::Service> MakeTasksService(const Context* context) {
  return std::make_unique<TasksService>(context);
}

}  // namespace kiln::services
