// `kiln wait REF...`: which objects are ready.

#include "client/cli/argument_text.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/head_client.h"
#include "client/cli/message_json.h"

namespace kiln::cli {

int RunWait(Console& console, const WaitOptions& options) {
  Status valid = CheckRefs(options.refs);
  if (!valid.ok()) return console.Fail(valid);
  if (options.num_returns < 1 || static_cast<size_t>(options.num_returns) > options.refs.size()) {
    return console.FailUsage("--num-returns is " + std::to_string(options.num_returns) +
                             "; it can be 1 to the number of refs, " +
                             std::to_string(options.refs.size()));
  }
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  v1::WaitRequest request;
  for (const std::string& ref : options.refs) request.add_refs(ref);
  request.set_num_returns(static_cast<uint32_t>(options.num_returns));
  request.set_timeout_ms(options.timeout ? options.timeout->count() : -1);
  auto answer = (*head)->Wait(request);
  if (!answer.ok()) return console.Fail(answer.status());

  if (console.json()) {
    console.Write(DumpJson(ToJson(*answer)));
  } else {
    std::string text;
    for (const std::string& ref : answer->ready()) text += "ready      " + ref + "\n";
    for (const std::string& ref : answer->not_ready()) text += "not ready  " + ref + "\n";
    console.Write(text);
  }
  bool enough = answer->ready_size() >= options.num_returns;
  return console.Finish(enough ? kExitOk : kExitTimeout);
}

}  // namespace kiln::cli
