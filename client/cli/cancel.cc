// `kiln cancel REF`: ends the task that makes an object.

#include "client/cli/argument_text.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/head_client.h"
#include "client/cli/message_json.h"
#include "client/cli/shell_text.h"

namespace kiln::cli {
namespace {

std::string Describe(const CancelOptions& options, v1::CancelResponse::Outcome outcome) {
  switch (outcome) {
    case v1::CancelResponse::OUTCOME_DROPPED:
      return "dropped; the task had not begun";
    case v1::CancelResponse::OUTCOME_ASKED:
      if (options.force) {  // no worker is killed for a call: it is an actor's
        return "the call of an actor runs and was asked to stop; to end the actor: " +
               KilnCommand("actor kill ID", options.connection);
      }
      return "the task runs and was asked to stop; to kill it: " +
             KilnCommand("cancel --force " + options.ref, options.connection);
    case v1::CancelResponse::OUTCOME_KILLED:
      return "killed; the task's worker is replaced";
    case v1::CancelResponse::OUTCOME_FINISHED:
      return "nothing to cancel; the object is ready";
    default:
      return "unknown outcome";
  }
}

}  // namespace

int RunCancel(Console& console, const CancelOptions& options) {
  Status valid = CheckRefs({options.ref});
  if (!valid.ok()) return console.Fail(valid);
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  v1::CancelRequest request;
  request.set_ref(options.ref);
  request.set_force(options.force);
  auto answer = (*head)->Cancel(request);
  if (!answer.ok()) return console.Fail(answer.status());
  console.Write(console.json() ? DumpJson(ToJson(*answer))
                               : options.ref + ": " + Describe(options, answer->outcome()) + "\n");
  return console.Finish(kExitOk);
}

}  // namespace kiln::cli
