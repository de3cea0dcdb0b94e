#include "client/cli/results.h"

#include "client/cli/argument_text.h"
#include "client/cli/exit_codes.h"
#include "client/cli/failure.h"
#include "client/cli/message_json.h"
#include "client/cli/quantity.h"
#include "client/cli/shell_text.h"

namespace kiln::cli {
namespace {

// The wait ended before the task did.
int TellHowToReturn(Console& console, const Awaited& awaited, const Status& status) {
  bool interrupted = status.code() == Code::kCancelled;
  std::string what =
      interrupted ? "interrupted" : "no result within " + FormatSpan(*awaited.timeout);
  what += "; the " + awaited.what + " goes on\n  its result:    " +
          KilnCommand("get " + awaited.refs.front(), awaited.connection) +
          "\n  to cancel it:  " + KilnCommand("cancel " + awaited.refs.front(), awaited.connection);
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

Status CheckJsonArguments(const std::vector<std::string>& args) {
  for (size_t i = 0; i < args.size(); ++i) {
    Status valid = CheckJson(args[i], "argument " + std::to_string(i + 1) + " (" + args[i] + ")");
    if (!valid.ok()) return valid;
  }
  return {};
}

int PrintRefs(Console& console, const Refs& refs) {
  if (console.json()) {
    console.Write(DumpJson({{"refs", refs}}));
  } else {
    for (const std::string& ref : refs) console.Write(ref + "\n");
  }
  return console.Finish(kExitOk);
}

int PrintResults(Console& console, HeadClient& head, const Awaited& awaited) {
  Time deadline = awaited.timeout ? Clock::now() + *awaited.timeout : kNever;
  ResultPrinter printer(&console);
  for (const std::string& ref : awaited.refs) {
    int64_t timeout_ms = -1;
    if (awaited.timeout) {
      auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
      timeout_ms = std::max<int64_t>(0, left.count());
    }
    Status status = printer.Print(head, ref, timeout_ms);
    if (status.code() == Code::kCancelled || status.code() == Code::kDeadlineExceeded) {
      return TellHowToReturn(console, awaited, status);
    }
    if (!status.ok()) return console.Fail(status);
    if (printer.failure || console.broken()) break;
  }
  // Told is told: nobody else knows these refs. They may have gone by themselves (--ttl).
  v1::ReleaseRequest release;
  for (const std::string& ref : awaited.refs) release.add_refs(ref);
  Status released = head.Release(release);
  if (!released.ok() && released.code() != Code::kNotFound) return console.Fail(released);
  if (printer.failure) return FailTask(console, *printer.failure);
  printer.End();
  return console.Finish(kExitOk);
}

}  // namespace kiln::cli
