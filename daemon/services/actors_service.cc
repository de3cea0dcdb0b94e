// Actors for clients without a session.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/nearest.h"
#include "daemon/services/actor_row.h"
#include "daemon/services/call.h"
#include "daemon/services/json_task.h"
#include "daemon/sessions/convert.h"
#include "kiln/v1/actor.grpc.pb.h"

namespace kiln::services {
namespace {

std::string Label(const core::ActorRow& row) {
  return row.name.empty() ? row.class_name + " " + FormatRef(row.id) : row.name;
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Returns: the method as the actor's class lists it; where that lists none, one of any name.
// Errors:  InvalidArgument (no name; a call that has no result a client without a session could
//          hold), NotFound (the class has no such method; names those it may have meant).
Result<v1::ActorMethod> FindMethod(const v1::ActorClass& actor_class, const std::string& name) {
  if (name.empty()) return Status(Code::kInvalidArgument, "no method named");
  v1::ActorMethod unlisted;
  unlisted.set_name(name);
  if (actor_class.methods().empty()) return unlisted;
  std::vector<std::string> names;
  for (const v1::ActorMethod& method : actor_class.methods()) {
    if (!method.name().starts_with('_')) names.push_back(method.name());
    if (method.name() != name) continue;
    if (method.streaming()) {
      return Status(Code::kInvalidArgument,
                    actor_class.name() + "." + name +
                        " hands over a stream, which needs a session that consumes it");
    }
    if (method.num_returns() > 1) {
      return Status(Code::kInvalidArgument, actor_class.name() + "." + name + " has " +
                                                std::to_string(method.num_returns()) +
                                                " results; call it in a session");
    }
    return method;
  }
  const std::string nearest = Nearest(name, names);
  return Status(Code::kNotFound, actor_class.name() + " has no method " + name +
                                     (nearest.empty() ? "; it has " + Joined(names)
                                                      : "; did you mean " + nearest + "?"));
}

class ActorsService : public v1::Actors::CallbackService {
 public:
  explicit ActorsService(const Context* context) : context_(context) {}

  grpc::ServerUnaryReactor* Kill(grpc::CallbackServerContext* call,
                                 const v1::KillActorRequest* request,
                                 v1::KillActorResponse* response) override {
    return OnLoop(*context_, call,
                  [this, request, response] { return DoKill(*request, response); });
  }

  grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* call,
                                 const v1::CallActorRequest* request,
                                 v1::CallActorResponse* response) override {
    return OnLoop(*context_, call,
                  [this, request, response] { return DoCall(*request, response); });
  }

 private:
  Status DoKill(const v1::KillActorRequest& request, v1::KillActorResponse* response);
  Status DoCall(const v1::CallActorRequest& request, v1::CallActorResponse* response);
  Result<core::ClassId> InternClass(const v1::ActorClass& actor_class,
                                    const v1::ActorMethod& method);

  const Context* const context_;
};

Status ActorsService::DoKill(const v1::KillActorRequest& request, v1::KillActorResponse* response) {
  Result<core::ActorRow> row = FindActor(*context_->core, request.actor());
  if (!row.ok()) return row.status();
  ToProto(*row, response->mutable_actor());
  context_->core->OnActorKilled(row->id, request.may_restart(), Clock::now());
  return Status();
}

Result<core::ClassId> ActorsService::InternClass(const v1::ActorClass& actor_class,
                                                 const v1::ActorMethod& method) {
  v1::TaskClass task_class;
  task_class.set_function(method.name());
  task_class.set_name(actor_class.name() + "." + method.name());
  task_class.set_method(true);
  task_class.set_any_language(true);
  task_class.set_detached(true);
  task_class.set_concurrency_group(method.concurrency_group());
  task_class.set_max_retries(method.has_max_task_retries() ? method.max_task_retries()
                                                           : actor_class.max_task_retries());
  task_class.set_retry_exceptions(method.retry_exceptions());
  Result<core::TaskClass> converted =
      sessions::FromProto(task_class, core::kLibraryHost, context_->launcher->PythonHosts());
  if (!converted.ok()) return converted.status();
  return context_->core->InternClass(std::move(*converted));
}

Status ActorsService::DoCall(const v1::CallActorRequest& request, v1::CallActorResponse* response) {
  core::Core* core = context_->core;
  Result<core::ActorRow> row = FindActor(*core, request.actor());
  if (!row.ok()) return row.status();
  const std::optional<core::ActorView> actor = core->FindActor(row->id);
  if (!actor || actor->dead) return Status(Code::kNotFound, row->detail);
  v1::ActorClass actor_class;
  (void)actor_class.ParseFromString(*actor->handle);
  if (actor_class.name().empty()) actor_class.set_name(row->class_name);
  Result<v1::ActorMethod> method = FindMethod(actor_class, request.method());
  if (!method.ok()) return method.status();
  const uint32_t most = actor_class.max_pending_calls();
  if (most != 0 && core->PendingCalls(row->id, kHeadSession) >= most) {
    return Status(Code::kResourceExhausted,
                  Label(*row) + " has " + std::to_string(most) +
                      " calls of this kind that have not ended, as many as it allows "
                      "(max_pending_calls); try again later");
  }
  Result<core::ClassId> task_class = InternClass(actor_class, *method);
  if (!task_class.ok()) return task_class.status();
  Result<TaskId> id =
      SubmitJson(*context_, {*task_class, request.json_args(), request.ttl_ms(), row->id});
  if (!id.ok()) return id.status();
  response->set_ref(FormatRef(*id));
  return Status();
}

}  // namespace

std::unique_ptr<grpc::Service> MakeActorsService(const Context* context) {
  return std::make_unique<ActorsService>(context);
}

}  // namespace kiln::services
