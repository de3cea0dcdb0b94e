// Jobs.
#include <algorithm>
#include <memory>
#include <utility>

#include "common/limits.h"
#include "daemon/services/call.h"
#include "kiln/v1/job.grpc.pb.h"

namespace kiln::services {
namespace {

void ToProto(const process::Job& in, v1::Job* out) {
  out->set_id(process::FormatJobId(in.id));
  out->set_name(in.name);
  for (const std::string& word : in.command) out->add_command(word);
  out->set_state(static_cast<v1::JobState>(in.state));
  out->set_exit_code(in.exit_code);
  out->set_message(in.message);
  out->set_pid(in.pid);
  out->set_submitted_ms(in.submitted_ms);
  out->set_started_ms(in.started_ms);
  out->set_ended_ms(in.ended_ms);
  out->set_num_cpus(in.num_cpus);
  out->set_log_path(in.log_path);
}

// Errors: NotFound (names the id).
Result<const process::Job*> FindJob(const Context& context, const std::string& text) {
  std::optional<JobId> id = process::ParseJobId(text);
  const process::Job* job = id ? context.jobs->Find(*id) : nullptr;
  if (job) return job;
  return Status(Code::kNotFound,
                "no job is called \"" + text + "\"; `kiln job list` shows those there are");
}

process::JobSpec ToSpec(const v1::SubmitJobRequest& request) {
  process::JobSpec spec;
  spec.command = {request.command().begin(), request.command().end()};
  spec.name = request.name();
  spec.num_cpus = request.num_cpus();
  spec.env = {request.env().begin(), request.env().end()};
  spec.base_env = {request.base_env().begin(), request.base_env().end()};
  spec.working_dir = request.working_dir();
  return spec;
}

// Streams a job's log at the reader's own speed: a chunk is read when the one before is written.
class FollowReactor : public grpc::ServerWriteReactor<v1::FollowLogResponse> {
 public:
  FollowReactor(const Context* context, const v1::FollowLogRequest* request)
      : context_(context), follow_(request->follow()) {
    context_->loop->Post([this, request] { Begin(*request); });
  }

  void OnWriteDone(bool ok) override {
    context_->loop->Post([this, ok] {
      writing_ = false;
      ok ? WriteNext() : End(Status());
    });
  }
  void OnCancel() override {
    context_->loop->Post([this] { End(Status(Code::kCancelled, "the client went away")); });
  }
  void OnDone() override {
    context_->loop->Post([this] { delete this; });
  }

 private:
  void Begin(const v1::FollowLogRequest& request) {
    Result<const process::Job*> job = FindJob(*context_, request.id());
    if (!job.ok()) return End(job.status());
    job_ = (*job)->id;
    if (follow_) {
      Result<process::JobRunner::FollowerId> follower =
          context_->jobs->Follow(job_, [this] { WriteNext(); });
      if (!follower.ok()) return End(follower.status());
      follower_ = *follower;
    }
    WriteNext();
  }

  void WriteNext() {
    if (ended_ || writing_) return;
    if (last_) return End(Status());
    Result<process::JobRunner::LogPart> part =
        context_->jobs->ReadLog(job_, offset_, limits::kChunkBytes);
    if (!part.ok()) return End(part.status());
    offset_ = part->next_offset;
    last_ = part->complete || (!follow_ && part->at_end);
    if (part->data.empty() && !last_) return;  // news will come
    response_.Clear();
    response_.set_data(std::move(part->data));
    if (last_) ToProto(*context_->jobs->Find(job_), response_.mutable_job());
    writing_ = true;
    StartWrite(&response_);
  }

  void End(const Status& status) {
    if (ended_) return;
    ended_ = true;
    if (follower_ != 0) context_->jobs->Unfollow(job_, follower_);
    Finish(ToGrpc(status));
  }

  const Context* const context_;
  const bool follow_;
  JobId job_ = 0;
  process::JobRunner::FollowerId follower_ = 0;
  uint64_t offset_ = 0;
  bool writing_ = false;
  bool last_ = false;  // the message being written is the last one
  bool ended_ = false;
  v1::FollowLogResponse response_;
};

class JobsService : public v1::Jobs::CallbackService {
 public:
  explicit JobsService(const Context* context) : context_(context) {}

  grpc::ServerUnaryReactor* SubmitJob(grpc::CallbackServerContext* call,
                                      const v1::SubmitJobRequest* request,
                                      v1::SubmitJobResponse* response) override {
    return OnLoop(*context_, call, [this, request, response] {
      if (!(request->num_cpus() >= 0 && request->num_cpus() < 1e9)) {
        return Status(Code::kInvalidArgument, "num_cpus must be 0 or more");
      }
      Result<JobId> id = context_->jobs->Submit(ToSpec(*request));
      if (!id.ok()) return id.status();
      Status status =
          context_->core->OnJobSubmitted(*id, core::Resources(request->num_cpus()), Clock::now());
      if (!status.ok()) {
        context_->jobs->Withdraw(*id);
        return status;
      }
      response->set_id(process::FormatJobId(*id));
      return Status();
    });
  }

  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* call,
                                   const v1::GetJobRequest* request, v1::Job* response) override {
    return OnLoop(*context_, call, [this, request, response] {
      Result<const process::Job*> job = FindJob(*context_, request->id());
      if (!job.ok()) return job.status();
      ToProto(**job, response);
      return Status();
    });
  }

  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* call, const v1::ListJobsRequest*,
                                     v1::ListJobsResponse* response) override {
    return OnLoop(*context_, call, [this, response] {
      for (const process::Job* job : context_->jobs->List()) ToProto(*job, response->add_jobs());
      return Status();
    });
  }

  grpc::ServerWriteReactor<v1::FollowLogResponse>* FollowLog(
      grpc::CallbackServerContext* call, const v1::FollowLogRequest* request) override {
    Status status = Authorize(*context_, *call);
    if (status.ok()) return new FollowReactor(context_, request);
    return new Refused<grpc::ServerWriteReactor<v1::FollowLogResponse>>(status);
  }

  grpc::ServerUnaryReactor* StopJob(grpc::CallbackServerContext* call,
                                    const v1::StopJobRequest* request, v1::Job* response) override {
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    if (Status status = Authorize(*context_, *call); !status.ok()) {
      reactor->Finish(ToGrpc(status));
      return reactor;
    }
    // A caller that goes away meanwhile is answered all the same: the grace period bounds it.
    context_->loop->Post([this, reactor, request, response] {
      Result<const process::Job*> job = FindJob(*context_, request->id());
      if (!job.ok()) return reactor->Finish(ToGrpc(job.status()));
      Duration grace = request->grace_ms() > 0
                           ? milliseconds(std::min(request->grace_ms(), kLongestMs))
                           : limits::kStopGrace;
      Status status =
          context_->jobs->Stop((*job)->id, grace, [reactor, response](const process::Job& ended) {
            ToProto(ended, response);
            reactor->Finish(grpc::Status::OK);
          });
      if (!status.ok()) reactor->Finish(ToGrpc(status));
    });
    return reactor;
  }

 private:
  const Context* const context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeJobsService(const Context* context) {
  return std::make_unique<JobsService>(context);
}

}  // namespace kiln::services
