// `kiln microbenchmark`: what kiln costs on this machine, beside what the machine can do at best.
#include <cstdlib>
#include <exception>
#include <regex>

#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/microbenchmark/suites.h"

namespace kiln::cli {

using namespace microbenchmark;

void ServeMicrobenchmark(int argc, char** argv) {
  if (std::getenv("KILN_WORKER")) Connect(argc, argv);
}

int RunMicrobenchmark(Console& console, const MicrobenchmarkOptions& options) {
  try {
    Report report(options.json, options.filter);
    const std::string transport = "grpc";
    {
      Result<std::unique_ptr<BenchHead>> head = BenchHead::Start();
      if (!head.ok()) return console.Fail(head.status(), kExitFailed);
      MeasureMachine(&report, (*head)->info().address);
      char program[] = "kiln", command[] = "microbenchmark";
      char* argv[] = {program, command, nullptr};
      ConnectOptions where;
      where.address = (*head)->info().address;
      Session session = Connect(2, argv, where);
      MeasureTasks(&report, session, transport, static_cast<pid_t>((*head)->info().pid));
      MeasureObjects(&report, session, transport);
    }
    if (report.Wants("start") || report.Wants("stop") || report.Wants("idle")) {
      Status status = MeasureLifecycle(&report);
      if (!status.ok()) return console.Fail(status, kExitFailed);
    }
    return kExitOk;
  } catch (const std::regex_error& error) {
    return console.FailUsage("--filter " + options.filter + ": " + error.what());
  } catch (const std::exception& error) {
    return console.Fail(Status(Code::kUnknown, error.what()), kExitFailed);
  }
}

}  // namespace kiln::cli
