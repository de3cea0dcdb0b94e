// `kiln stop`: ends exactly one head, and waits until it is gone.

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/head_client.h"
#include "client/cli/lock_holder.h"
#include "client/cli/message_json.h"
#include "client/cli/process_end.h"
#include "client/cli/quantity.h"
#include "client/cli/shell_text.h"
#include "common/limits.h"
#include "common/session_dir.h"

namespace kiln::cli {
namespace {

constexpr milliseconds kForceAnswer = seconds(2);  // then a head counts as hung
constexpr milliseconds kAnswer = seconds(10);
constexpr milliseconds kExitMargin = seconds(5);  // beyond the grace period

// The session directory the connection means, whether a head can be reached there or not; empty for
// a TCP address.
std::string SessionDirOf(const Connection& connection) {
  auto environment = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  std::string address = connection.address;
  std::string dir = connection.session_dir;
  if (address.empty() && dir.empty()) address = environment("KILN_ADDRESS");
  if (address.rfind("unix:", 0) == 0) {
    return std::filesystem::path(address.substr(5)).parent_path().string();
  }
  if (!address.empty()) return "";
  if (dir.empty()) dir = environment("KILN_SESSION_DIR");
  return dir.empty() ? DefaultSessionDir() : dir;
}

std::string Count(uint64_t number, const std::string& noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

int Report(Console& console, const v1::StopResponse& stopped, bool killed) {
  if (console.json()) {
    auto document = ToJson(stopped);
    document["stopped"] = true;
    document["killed"] = killed;
    console.Write(DumpJson(document));
  } else if (killed) {
    console.Write("kiln killed: the head (pid " + std::to_string(stopped.pid()) +
                  ") did not answer; its workers and jobs end with it.\n");
  } else {
    uint64_t tasks = stopped.tasks_running() + stopped.tasks_queued();
    console.Write("kiln stopped: head (pid " + std::to_string(stopped.pid()) + "), " +
                  Count(stopped.workers(), "worker") + ", " + Count(stopped.jobs(), "job") + ", " +
                  Count(tasks, "task") + " (" + std::to_string(stopped.tasks_running()) +
                  " running, " + std::to_string(stopped.tasks_queued()) + " queued).\n");
  }
  return console.Finish(kExitOk);
}

int ReportNothing(Console& console, const std::string& where) {
  if (console.json()) {
    console.Write(DumpJson({{"stopped", false}}));
  } else {
    console.Write("No head is running" + where + "; nothing to stop.\n");
  }
  return console.Finish(kExitOk);
}

// For a head that cannot be asked.
int Kill(Console& console, Interrupt& interrupt, const std::string& dir, pid_t pid) {
  ProcessEnd end(pid);
  // Once the process is held, its id cannot have passed to another; so look again.
  if (FindLockHolder(dir) != pid) return ReportNothing(console, " in " + dir);
  v1::StopResponse stopped;
  stopped.set_pid(pid);
  if (end.Signal(SIGKILL) && end.Wait(interrupt, kExitMargin) == ProcessEnd::Outcome::kEnded) {
    return Report(console, stopped, /*killed=*/true);
  }
  return console.Fail({Code::kInternal, "cannot kill the head (pid " + std::to_string(pid) +
                                            "); is it another user's?"});
}

// No answer came, for the reason in `status`.
int Unanswered(Console& console, Interrupt& interrupt, const StopOptions& options,
               const Status& status) {
  if (status.code() != Code::kUnavailable && status.code() != Code::kDeadlineExceeded) {
    return console.Fail(status);
  }
  std::string dir = SessionDirOf(options.connection);
  auto holder = dir.empty() ? std::nullopt : FindLockHolder(dir);
  if (holder && options.force) return Kill(console, interrupt, dir, *holder);
  if (holder) {
    return console.Fail(
        {Code::kFailedPrecondition, "the head of " + dir + " (pid " + std::to_string(*holder) +
                                        ") does not answer; wait " +
                                        "if it is just starting, or end it with: " +
                                        KilnCommand("stop --force", options.connection)});
  }
  if (status.code() == Code::kDeadlineExceeded) return console.Fail(status);
  return ReportNothing(console, dir.empty() ? " there" : " in " + dir);
}

}  // namespace

int RunStop(Console& console, const StopOptions& options) {
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return Unanswered(console, interrupt, options, head.status());

  v1::StopRequest request;
  request.set_force(options.force);
  // 0 on the wire is the default; who asks for no grace means the least there is.
  if (options.grace) request.set_grace_ms(std::max<int64_t>(1, options.grace->count()));
  auto stopped = (*head)->Stop(request, options.force ? kForceAnswer : kAnswer);
  if (!stopped.ok()) return Unanswered(console, interrupt, options, stopped.status());

  milliseconds grace =
      options.grace.value_or(std::chrono::duration_cast<milliseconds>(limits::kStopGrace));
  ProcessEnd end(static_cast<pid_t>(stopped->pid()));
  switch (end.Wait(interrupt, grace + kExitMargin)) {
    case ProcessEnd::Outcome::kEnded:
      return Report(console, *stopped, /*killed=*/false);
    case ProcessEnd::Outcome::kInterrupted:
      return console.Fail({Code::kCancelled, "interrupted; the head goes on stopping"});
    case ProcessEnd::Outcome::kTimeout:
      break;
  }
  return console.Fail({Code::kInternal,
                       "the head (pid " + std::to_string(stopped->pid()) + ") still runs " +
                           FormatSpan(grace + kExitMargin) + " after it was told to stop; end it " +
                           "with: " + KilnCommand("stop --force", options.connection)});
}

}  // namespace kiln::cli
