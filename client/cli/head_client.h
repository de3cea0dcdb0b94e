// The head, as commands talk to it: gRPC behind plain calls.
//
// Every call ends early with Cancelled when the user presses Ctrl-C. Errors of every call: those of
// its rpc in proto/kiln/v1, Cancelled (Ctrl-C), Unavailable (no head answers, or it went away).
//
// Thread: one; `interrupt` cancels from its own.
// Owner:  a command, for as long as it runs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "client/cli/commands.h"
#include "client/cli/interrupt.h"
#include "common/clock.h"
#include "common/status.h"
#include "kiln/v1/actor.pb.h"
#include "kiln/v1/job.pb.h"
#include "kiln/v1/object.pb.h"
#include "kiln/v1/state.pb.h"
#include "kiln/v1/task.pb.h"

namespace kiln::cli {

class HeadClient {
 public:
  // Finds the head and makes a channel; the first call connects. `interrupt` outlives the client.
  // Errors: Unavailable (no head runs there; says how to start one), InvalidArgument (address).
  static Result<std::unique_ptr<HeadClient>> Connect(const Connection& connection,
                                                     Interrupt* interrupt);
  ~HeadClient();

  Interrupt& interrupt() { return *interrupt_; }
  // What the head is reached by, for messages.
  const std::string& target() const { return target_; }

  Result<v1::Status> GetStatus(const v1::GetStatusRequest& request);
  Result<v1::ListTasksResponse> ListTasks(const v1::ListRequest& request);
  Result<v1::ListObjectsResponse> ListObjects(const v1::ListRequest& request);
  Result<v1::ListWorkersResponse> ListWorkers(const v1::ListRequest& request);
  Result<v1::ListSessionsResponse> ListSessions(const v1::ListRequest& request);
  Result<v1::ListPlacementGroupsResponse> ListPlacementGroups(const v1::ListRequest& request);
  Result<v1::ListActorsResponse> ListActors(const v1::ListRequest& request);
  // Errors also: DeadlineExceeded (no answer within `patience`).
  Result<v1::StopResponse> Stop(const v1::StopRequest& request, milliseconds patience);

  Result<v1::RunResponse> Run(const v1::RunRequest& request);
  Result<v1::CancelResponse> Cancel(const v1::CancelRequest& request);

  Result<v1::CallActorResponse> CallActor(const v1::CallActorRequest& request);
  Result<v1::KillActorResponse> KillActor(const v1::KillActorRequest& request);

  // Calls `next` for one part after the other until it returns nothing, or a status, which becomes
  // the answer. `first`: all but data.
  using NextPart = std::function<Result<std::optional<std::string>>()>;
  Result<v1::PutResponse> Put(const v1::PutRequest& first, const NextPart& next);
  // Hands over one message after the other until `receive` returns false, which is no error.
  using ReceiveValue = std::function<bool(const v1::GetResponse&)>;
  Status Get(const v1::GetRequest& request, const ReceiveValue& receive);
  Result<v1::WaitResponse> Wait(const v1::WaitRequest& request);
  Status Release(const v1::ReleaseRequest& request);

  Result<v1::SubmitJobResponse> SubmitJob(const v1::SubmitJobRequest& request);
  Result<v1::Job> GetJob(const std::string& id);
  Result<v1::ListJobsResponse> ListJobs();
  // As Get.
  using ReceiveLog = std::function<bool(const v1::FollowLogResponse&)>;
  Status FollowLog(const v1::FollowLogRequest& request, const ReceiveLog& receive);
  Result<v1::Job> StopJob(const v1::StopJobRequest& request);

 private:
  struct Stubs;
  class Call;
  HeadClient(std::string target, std::string token, Interrupt* interrupt);

  std::string target_;
  std::string token_;  // empty on a unix socket
  Interrupt* interrupt_;
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace kiln::cli
