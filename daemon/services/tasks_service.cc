// Tasks for clients without a session.
#include <utility>

#include "daemon/services/call.h"
#include "daemon/services/json_task.h"
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
  Result<core::ClassId> task_class = InternClass(request);
  if (!task_class.ok()) return task_class.status();
  Result<TaskId> id = SubmitJson(*context_, {*task_class, request.json_args(), request.ttl_ms()});
  if (!id.ok()) return id.status();
  const uint32_t num_returns = context_->core->GetClass(*task_class).num_returns;
  for (uint32_t i = 0; i < num_returns; ++i) response->add_refs(FormatRef(*id + i));
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
