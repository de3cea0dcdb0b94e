#include "client/cli/head_client.h"

#include <grpcpp/grpcpp.h>

#include <cstdlib>
#include <utility>

#include "common/limits.h"
#include "common/session_dir.h"
#include "kiln/v1/actor.grpc.pb.h"
#include "kiln/v1/job.grpc.pb.h"
#include "kiln/v1/object.grpc.pb.h"
#include "kiln/v1/state.grpc.pb.h"
#include "kiln/v1/task.grpc.pb.h"

namespace kiln::cli {
namespace {

// The head answers questions about its state between two turns; one that takes longer hangs.
constexpr milliseconds kStateAnswer = seconds(10);
// Where the system is asked for the memory of thousands of processes, too.
constexpr milliseconds kMemoryAnswer = seconds(60);

template <typename Response>
Result<Response> InTime(Result<Response> answer) {
  if (answer.ok() || answer.status().code() != Code::kDeadlineExceeded) return answer;
  return Status(Code::kUnavailable,
                "the head does not answer; if it hangs, end it with: kiln stop --force");
}

}  // namespace

struct HeadClient::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : state(channel), tasks(channel), objects(channel), jobs(channel), actors(channel) {}
  v1::State::Stub state;
  v1::Tasks::Stub tasks;
  v1::Objects::Stub objects;
  v1::Jobs::Stub jobs;
  v1::Actors::Stub actors;
};

// One rpc: its context, cancelled by Ctrl-C, and what its end means.
class HeadClient::Call {
 public:
  explicit Call(const HeadClient& client, std::optional<milliseconds> patience = std::nullopt)
      : client_(client), scope_(client.interrupt_, [this] { context_.TryCancel(); }) {
    if (!client.token_.empty()) context_.AddMetadata("authorization", "Bearer " + client.token_);
    if (patience) context_.set_deadline(std::chrono::system_clock::now() + *patience);
  }

  grpc::ClientContext* context() { return &context_; }

  Status End(const grpc::Status& status) const {
    if (status.ok()) return {};
    std::string message = status.error_message();
    if (client_.interrupt_->raised()) return {Code::kCancelled, "interrupted"};
    // A server that is shut down cancels its calls; ours are not cancelled by us here.
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
        status.error_code() == grpc::StatusCode::CANCELLED) {
      // gRPC's words for "never connected"; anything else ended a connection that was there.
      bool never = message.find("failed to connect") != std::string::npos ||
                   message.find("connections to all backends failing") != std::string::npos;
      message =
          never ? "no head answers at " + client_.target_ + "; start one with: kiln start --head"
                : "the head at " + client_.target_ + " went away (" + message +
                      "); see its log, and start another with: kiln start --head";
    }
    return {static_cast<Code>(status.error_code()), std::move(message)};
  }

  // Calls a unary rpc.
  template <typename Stub, typename Request, typename Response>
  Result<Response> Unary(Stub& stub,
                         grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
                         const Request& request) {
    Response response;
    Status status = End((stub.*rpc)(&context_, request, &response));
    if (!status.ok()) return status;
    return response;
  }

  // Reads a stream to its end, or until `receive` has had enough.
  template <typename Response>
  Status ReadAll(grpc::ClientReader<Response>& stream,
                 const std::function<bool(const Response&)>& receive) {
    Response response;
    bool enough = false;
    while (!enough && stream.Read(&response)) enough = !receive(response);
    if (enough) context_.TryCancel();
    grpc::Status status = stream.Finish();
    return enough ? Status() : End(status);
  }

 private:
  const HeadClient& client_;
  grpc::ClientContext context_;
  Interrupt::Scope scope_;
};

Result<std::unique_ptr<HeadClient>> HeadClient::Connect(const Connection& connection,
                                                        Interrupt* interrupt) {
  auto endpoint = ResolveEndpoint(connection.address, connection.session_dir);
  if (!endpoint.ok()) {
    const Status& status = endpoint.status();
    if (status.code() == Code::kNotFound) return Status(Code::kUnavailable, status.message());
    return status;
  }
  return std::unique_ptr<HeadClient>(new HeadClient(endpoint->target, endpoint->token, interrupt));
}

HeadClient::HeadClient(std::string target, std::string token, Interrupt* interrupt)
    : target_(std::move(target)), token_(std::move(token)), interrupt_(interrupt) {
  setenv("GRPC_VERBOSITY", "NONE", 0);  // its own words would stand between ours
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(limits::kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(limits::kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (target_.rfind("unix:", 0) == 0) {
    // gRPC would send the socket's path, which is no valid HTTP authority.
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  }
  stubs_ = std::make_unique<Stubs>(
      grpc::CreateCustomChannel(target_, grpc::InsecureChannelCredentials(), arguments));
}

HeadClient::~HeadClient() = default;

Result<v1::Status> HeadClient::GetStatus(const v1::GetStatusRequest& request) {
  return InTime(Call(*this, request.actor_memory() ? kMemoryAnswer : kStateAnswer)
                    .Unary(stubs_->state, &v1::State::Stub::GetStatus, request));
}

Result<v1::ListTasksResponse> HeadClient::ListTasks(const v1::ListRequest& request) {
  return InTime(
      Call(*this, kStateAnswer).Unary(stubs_->state, &v1::State::Stub::ListTasks, request));
}

Result<v1::ListObjectsResponse> HeadClient::ListObjects(const v1::ListRequest& request) {
  return InTime(
      Call(*this, kStateAnswer).Unary(stubs_->state, &v1::State::Stub::ListObjects, request));
}

Result<v1::ListWorkersResponse> HeadClient::ListWorkers(const v1::ListRequest& request) {
  return InTime(
      Call(*this, kStateAnswer).Unary(stubs_->state, &v1::State::Stub::ListWorkers, request));
}

Result<v1::ListSessionsResponse> HeadClient::ListSessions(const v1::ListRequest& request) {
  return InTime(
      Call(*this, kStateAnswer).Unary(stubs_->state, &v1::State::Stub::ListSessions, request));
}

Result<v1::ListPlacementGroupsResponse> HeadClient::ListPlacementGroups(
    const v1::ListRequest& request) {
  return InTime(Call(*this, kStateAnswer)
                    .Unary(stubs_->state, &v1::State::Stub::ListPlacementGroups, request));
}

Result<v1::ListActorsResponse> HeadClient::ListActors(const v1::ListRequest& request) {
  return InTime(
      Call(*this, kMemoryAnswer).Unary(stubs_->state, &v1::State::Stub::ListActors, request));
}

Result<v1::StopResponse> HeadClient::Stop(const v1::StopRequest& request, milliseconds patience) {
  return Call(*this, patience).Unary(stubs_->state, &v1::State::Stub::Stop, request);
}

Result<v1::RunResponse> HeadClient::Run(const v1::RunRequest& request) {
  return Call(*this).Unary(stubs_->tasks, &v1::Tasks::Stub::Run, request);
}

Result<v1::CancelResponse> HeadClient::Cancel(const v1::CancelRequest& request) {
  return Call(*this).Unary(stubs_->tasks, &v1::Tasks::Stub::Cancel, request);
}

Result<v1::CallActorResponse> HeadClient::CallActor(const v1::CallActorRequest& request) {
  return Call(*this).Unary(stubs_->actors, &v1::Actors::Stub::Call, request);
}

Result<v1::KillActorResponse> HeadClient::KillActor(const v1::KillActorRequest& request) {
  return Call(*this).Unary(stubs_->actors, &v1::Actors::Stub::Kill, request);
}

Result<v1::PutResponse> HeadClient::Put(const v1::PutRequest& first, const NextPart& next) {
  Call call(*this);
  v1::PutResponse response;
  auto writer = stubs_->objects.Put(call.context(), &response);
  v1::PutRequest request = first;
  // A refused write is the head's early answer; Finish tells it.
  bool accepted = true;
  for (bool begun = false; accepted; begun = true) {
    auto part = next();
    if (!part.ok()) {
      call.context()->TryCancel();
      (void)writer->Finish();
      return part.status();
    }
    if (!part->has_value() && begun) break;
    request.set_data(part->value_or(""));
    accepted = writer->Write(request);
    request.Clear();
    if (!part->has_value()) break;
  }
  writer->WritesDone();
  Status status = call.End(writer->Finish());
  if (!status.ok()) return status;
  return response;
}

Status HeadClient::Get(const v1::GetRequest& request, const ReceiveValue& receive) {
  Call call(*this);
  return call.ReadAll(*stubs_->objects.Get(call.context(), request), receive);
}

Result<v1::WaitResponse> HeadClient::Wait(const v1::WaitRequest& request) {
  return Call(*this).Unary(stubs_->objects, &v1::Objects::Stub::Wait, request);
}

Status HeadClient::Release(const v1::ReleaseRequest& request) {
  auto response = Call(*this).Unary(stubs_->objects, &v1::Objects::Stub::Release, request);
  return response.ok() ? Status() : response.status();
}

Result<v1::SubmitJobResponse> HeadClient::SubmitJob(const v1::SubmitJobRequest& request) {
  return Call(*this).Unary(stubs_->jobs, &v1::Jobs::Stub::SubmitJob, request);
}

Result<v1::Job> HeadClient::GetJob(const std::string& id) {
  v1::GetJobRequest request;
  request.set_id(id);
  return Call(*this).Unary(stubs_->jobs, &v1::Jobs::Stub::GetJob, request);
}

Result<v1::ListJobsResponse> HeadClient::ListJobs() {
  return Call(*this).Unary(stubs_->jobs, &v1::Jobs::Stub::ListJobs, v1::ListJobsRequest());
}

Status HeadClient::FollowLog(const v1::FollowLogRequest& request, const ReceiveLog& receive) {
  Call call(*this);
  return call.ReadAll(*stubs_->jobs.FollowLog(call.context(), request), receive);
}

Result<v1::Job> HeadClient::StopJob(const v1::StopJobRequest& request) {
  return Call(*this).Unary(stubs_->jobs, &v1::Jobs::Stub::StopJob, request);
}

}  // namespace kiln::cli
