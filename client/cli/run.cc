// `kiln run LIBRARY.so:FUNCTION ARGS...`: one task, its result as JSON.

#include "client/cli/argument_text.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/failure.h"
#include "client/cli/head_client.h"
#include "client/cli/message_json.h"
#include "client/cli/quantity.h"
#include "client/cli/shell_text.h"

namespace kiln::cli {
namespace {

using Refs = std::vector<std::string>;

// Errors: InvalidArgument, NotFound (no such library).
Result<v1::RunRequest> MakeRequest(const RunOptions& options) {
  v1::RunRequest request;
  auto function = ParseFunctionRef(options.function);
  if (!function.ok()) return function.status();
  request.set_library(function->library);
  request.set_function(function->function);
  for (size_t i = 0; i < options.args.size(); ++i) {
    Status valid = CheckJson(options.args[i],
                             "argument " + std::to_string(i + 1) + " (" + options.args[i] + ")");
    if (!valid.ok()) return valid;
    request.add_json_args(options.args[i]);
  }
  auto custom = ParseResources(options.resources);
  if (!custom.ok()) return custom.status();
  v1::TaskClass& task = *request.mutable_options();
  task.set_name(options.name);
  task.mutable_resources()->set_num_cpus(options.num_cpus);
  task.mutable_resources()->set_memory_bytes(options.memory_bytes);
  task.mutable_resources()->mutable_custom()->insert(custom->begin(), custom->end());
  task.set_max_retries(options.max_retries);
  task.set_retry_exceptions(options.retry_exceptions);
  task.set_timeout_ms(options.task_timeout.count());
  task.set_priority(options.priority);
  task.set_num_returns(static_cast<uint32_t>(options.num_returns));
  request.set_ttl_ms(options.ttl.count());
  return request;
}

int PrintRefs(Console& console, const Refs& refs) {
  if (console.json()) {
    console.Write(DumpJson({{"refs", refs}}));
  } else {
    for (const std::string& ref : refs) console.Write(ref + "\n");
  }
  return console.Finish(kExitOk);
}

// The wait ended before the task did.
int TellHowToReturn(Console& console, const RunOptions& options, const Refs& refs,
                    const Status& status) {
  bool interrupted = status.code() == Code::kCancelled;
  std::string what =
      interrupted ? "interrupted" : "no result within " + FormatSpan(*options.timeout);
  what += "; the task goes on\n  its result:    " +
          KilnCommand("get " + refs.front(), options.connection) +
          "\n  to cancel it:  " + KilnCommand("cancel " + refs.front(), options.connection);
  return console.Fail({status.code(), what});
}

// Streams the results, a line each, or with --json as one document; what is printed is never held
// as a whole, so a result may be larger than memory.
class ResultPrinter {
 public:
  explicit ResultPrinter(Console* console) : console_(console) {}

  // Errors: of Objects.Get. The error a task ended with is kept in `failure`.
  Status Print(HeadClient& head, const std::string& ref, int64_t timeout_ms) {
    v1::GetRequest request;
    request.set_ref(ref);
    request.set_encoding(v1::ENCODING_JSON);
    request.set_timeout_ms(timeout_ms);
    bool begun = false;
    Status status = head.Get(request, [&](const v1::GetResponse& part) {
      if (part.has_error()) {
        failure = part.error();
        return false;
      }
      if (!begun && console_->json()) console_->Write(printed_ == 0 ? "{\"results\": [" : ", ");
      begun = true;
      return console_->Write(part.data());
    });
    if (status.ok() && !failure) {
      ++printed_;
      if (!console_->json()) console_->Write("\n");
    }
    return status;
  }
  void End() {
    if (console_->json()) console_->Write("]}\n");
  }

  std::optional<v1::TaskFailure> failure;

 private:
  Console* console_;
  int printed_ = 0;
};

}  // namespace

int RunRun(Console& console, const RunOptions& options) {
  auto request = MakeRequest(options);
  if (!request.ok()) return console.Fail(request.status());
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  auto run = (*head)->Run(*request);
  if (!run.ok()) return console.Fail(run.status());
  Refs refs(run->refs().begin(), run->refs().end());
  if (options.detach) return PrintRefs(console, refs);

  Time deadline = options.timeout ? Clock::now() + *options.timeout : kNever;
  ResultPrinter printer(&console);
  for (const std::string& ref : refs) {
    int64_t timeout_ms = -1;
    if (options.timeout) {
      auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
      timeout_ms = std::max<int64_t>(0, left.count());
    }
    Status status = printer.Print(**head, ref, timeout_ms);
    if (status.code() == Code::kCancelled || status.code() == Code::kDeadlineExceeded) {
      return TellHowToReturn(console, options, refs, status);
    }
    if (!status.ok()) return console.Fail(status);
    if (printer.failure || console.broken()) break;
  }
  // Told is told: nobody else knows these refs. They may have gone by themselves (--ttl).
  v1::ReleaseRequest release;
  for (const std::string& ref : refs) release.add_refs(ref);
  Status released = (*head)->Release(release);
  if (!released.ok() && released.code() != Code::kNotFound) return console.Fail(released);
  if (printer.failure) return FailTask(console, *printer.failure);
  printer.End();
  return console.Finish(kExitOk);
}

}  // namespace kiln::cli
