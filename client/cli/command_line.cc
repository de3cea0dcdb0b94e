#include "client/cli/command_line.h"

#include "client/cli/command.h"

namespace kiln::cli {

void AddCommands(CLI::App& app, Invocation* invocation) {
  AddStart(app, invocation);
  AddStop(app, invocation);
  AddStatus(app, invocation);
  AddList(app, invocation);
  AddSubmit(app, "Run a command as a job (kiln job submit)", invocation);
  AddJob(app, invocation);
  AddRun(app, invocation);
  AddActor(app, invocation);
  AddPut(app, invocation);
  AddGet(app, invocation);
  AddWait(app, invocation);
  AddCancel(app, invocation);
  AddRelease(app, invocation);
  AddMicrobenchmark(app, invocation);
}

}  // namespace kiln::cli
