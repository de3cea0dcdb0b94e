// `kiln actor ...`: actors, without a session.

#include <utility>

#include "client/cli/argument_text.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/head_client.h"
#include "client/cli/message_json.h"
#include "client/cli/results.h"

namespace kiln::cli {
namespace {

void Fill(const ActorWord& actor, v1::ActorName* out) {
  if (actor.name_space.empty() && CheckRefs({actor.word}).ok()) {
    out->set_id(actor.word);
  } else {
    out->set_name(actor.word);
    out->set_namespace_(actor.name_space);
  }
}

std::string Counted(uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// `actor`: as it was before.
std::string DescribeKill(const v1::ActorInfo& actor, bool restart) {
  const std::string who =
      (actor.name().empty() ? actor.class_name() : actor.name()) + " (" + actor.id() + ")";
  if (actor.state() == "DEAD") return who + " is dead already: " + actor.detail();
  std::string text = who;
  if (!restart) {
    text += " was killed";
  } else if (actor.pid() == 0) {
    return text + " has no process now that could be killed: it is " + actor.state();
  } else {
    const bool again =
        actor.max_restarts() < 0 || actor.restarts() < static_cast<uint32_t>(actor.max_restarts());
    text += ": its process " + std::to_string(actor.pid()) + " was killed; it is " +
            (again ? "started anew" : "dead now, for it may not be started again");
  }
  if (actor.pending_calls() != 0) {
    text += "; it had " + Counted(actor.pending_calls(), "call") + " that had not ended";
  }
  return text;
}

}  // namespace

int RunActorKill(Console& console, const ActorKillOptions& options) {
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  v1::KillActorRequest request;
  Fill(options.actor, request.mutable_actor());
  request.set_may_restart(options.restart);
  auto answer = (*head)->KillActor(request);
  if (!answer.ok()) return console.Fail(answer.status());
  console.Write(console.json() ? DumpJson(ToJson(*answer))
                               : DescribeKill(answer->actor(), options.restart) + "\n");
  return console.Finish(kExitOk);
}

int RunActorCall(Console& console, const ActorCallOptions& options) {
  Status valid = CheckJsonArguments(options.args);
  if (!valid.ok()) return console.Fail(valid);
  v1::CallActorRequest request;
  Fill(options.actor, request.mutable_actor());
  request.set_method(options.method);
  for (const std::string& arg : options.args) request.add_json_args(arg);
  request.set_ttl_ms(options.ttl.count());
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  auto call = (*head)->CallActor(request);
  if (!call.ok()) return console.Fail(call.status());
  Refs refs = {call->ref()};
  if (options.detach) return PrintRefs(console, refs);
  return PrintResults(console, **head,
                      {options.connection, std::move(refs), options.timeout, "call"});
}

}  // namespace kiln::cli
