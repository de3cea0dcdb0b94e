// `kiln job ...`: shell commands run by the head.

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/head_client.h"
#include "client/cli/job_text.h"
#include "client/cli/message_json.h"
#include "client/cli/quantity.h"
#include "client/cli/shell_text.h"
#include "common/utf8.h"

extern char** environ;

namespace kiln::cli {
namespace {

// Errors: InvalidArgument (a variable without '='), NotFound (no such directory).
Result<v1::SubmitJobRequest> MakeRequest(const JobSubmitOptions& options) {
  v1::SubmitJobRequest request;
  for (const std::string& word : options.command) request.add_command(word);
  request.set_name(options.name);
  request.set_num_cpus(options.num_cpus);
  for (char** variable = environ; *variable; ++variable) {
    // A variable that is no UTF-8 cannot be sent, and would keep all the others from being read.
    if (CleanText(*variable, std::strlen(*variable)) == *variable) request.add_base_env(*variable);
  }
  for (const std::string& variable : options.env) {
    size_t equals = variable.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return Status(Code::kInvalidArgument, "--env '" + variable + "' is not NAME=VALUE");
    }
    (*request.mutable_env())[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  std::error_code error;
  std::filesystem::path dir = options.working_dir.empty()
                                  ? std::filesystem::current_path(error)
                                  : std::filesystem::absolute(options.working_dir, error);
  if (!std::filesystem::is_directory(dir, error)) {
    return Status(Code::kNotFound,
                  "there is no directory " + dir.string() + "; name another with --working-dir");
  }
  request.set_working_dir(dir.lexically_normal().string());
  return request;
}

std::string ReturnText(const std::string& id, const Connection& connection) {
  return "  its output:  " + KilnCommand("job logs -f " + id, connection) +
         "\n  its state:   " + KilnCommand("job status " + id, connection) +
         "\n  to stop it:  " + KilnCommand("job stop " + id, connection);
}

// The job's own exit code; that of a job that never ran, or was stopped in time, is not 0 either.
int ExitCodeOf(const v1::Job& job) {
  if (job.exit_code() != 0) return job.exit_code();
  return job.state() == v1::JOB_STATE_SUCCEEDED ? kExitOk : kExitFailed;
}

struct Followed {
  Status status;
  v1::Job job;  // as it ended; without an id if the stream broke
};

// Hands the log to `write` until that refuses or the log ends.
template <typename Writer>
Followed Follow(HeadClient& head, const std::string& id, bool follow, const Writer& write) {
  Followed followed;
  v1::FollowLogRequest request;
  request.set_id(id);
  request.set_follow(follow);
  followed.status = head.FollowLog(request, [&](const v1::FollowLogResponse& part) {
    if (part.has_job()) followed.job = part.job();
    return part.data().empty() || write(part.data());
  });
  return followed;
}

// Streams the job's output, then says how it ended.
int FollowToEnd(Console& console, HeadClient& head, const std::string& id,
                const Connection& connection) {
  Followed followed = Follow(head, id, /*follow=*/true, [&](const std::string& data) {
    if (!console.json()) return console.Write(data);
    console.Aside(data);  // standard output is for one document
    return true;
  });
  if (console.broken()) return console.Finish(kExitFailed);
  if (followed.status.code() == Code::kCancelled) {
    return console.Fail(
        {Code::kCancelled, "interrupted; " + id + " goes on\n" + ReturnText(id, connection)});
  }
  if (!followed.status.ok()) return console.Fail(followed.status);
  const v1::Job& job = followed.job;
  if (job.id().empty()) {
    return console.Fail({Code::kUnavailable, "the head ended the log before " + id + " ended"});
  }
  if (console.json()) {
    console.Write(DumpJson(ToJson(job)));
  } else {
    console.Note(DescribeEnd(job));
  }
  return console.Finish(ExitCodeOf(job));
}

}  // namespace

int RunJobSubmit(Console& console, const JobSubmitOptions& options) {
  if (options.command.empty()) {
    return console.FailUsage("there is no command to run; write it after two dashes: " +
                             std::string("kiln submit -- COMMAND ARGS..."));
  }
  auto request = MakeRequest(options);
  if (!request.ok()) return console.Fail(request.status());
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  auto submitted = (*head)->SubmitJob(*request);
  if (!submitted.ok()) return console.Fail(submitted.status());

  const std::string& id = submitted->id();
  if (!console.json()) {
    console.Note(id + " submitted: " + ShellJoin(options.command));
    if (options.no_wait) console.Aside(ReturnText(id, options.connection) + "\n");
  }
  if (!options.no_wait) return FollowToEnd(console, **head, id, options.connection);
  console.Write(console.json() ? DumpJson({{"id", id}}) : id + "\n");
  return console.Finish(kExitOk);
}

int RunJobStatus(Console& console, const JobOptions& options) {
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  auto job = (*head)->GetJob(options.id);
  if (!job.ok()) return console.Fail(job.status());
  console.Write(console.json() ? DumpJson(ToJson(*job)) : DescribeJob(*job));
  return console.Finish(kExitOk);
}

int RunJobLogs(Console& console, const JobOptions& options) {
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  std::string log;  // with --json only
  Followed followed = Follow(**head, options.id, options.follow, [&](const std::string& data) {
    if (!console.json()) return console.Write(data);
    log += data;
    return true;
  });
  if (console.broken()) return console.Finish(kExitFailed);
  if (followed.status.code() == Code::kCancelled) {
    return console.Fail({Code::kCancelled, "interrupted; " + options.id + " goes on"});
  }
  if (!followed.status.ok()) return console.Fail(followed.status);
  if (console.json()) {
    console.Write(DumpJson({{"id", options.id}, {"log", log}, {"job", ToJson(followed.job)}}));
  }
  return console.Finish(kExitOk);
}

int RunJobStop(Console& console, const JobOptions& options) {
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  v1::StopJobRequest request;
  request.set_id(options.id);
  if (options.grace) request.set_grace_ms(std::max<int64_t>(1, options.grace->count()));
  auto job = (*head)->StopJob(request);
  if (!job.ok()) return console.Fail(job.status());
  if (console.json()) {
    console.Write(DumpJson(ToJson(*job)));
  } else {
    console.Write(DescribeEnd(*job) + "\n");
  }
  return console.Finish(kExitOk);
}

}  // namespace kiln::cli
