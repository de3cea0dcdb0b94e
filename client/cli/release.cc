// `kiln release REF...`: gives objects up.

#include "client/cli/argument_text.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/head_client.h"
#include "client/cli/message_json.h"

namespace kiln::cli {

int RunRelease(Console& console, const ReleaseOptions& options) {
  Status valid = CheckRefs(options.refs);
  if (!valid.ok()) return console.Fail(valid);
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  v1::ReleaseRequest request;
  for (const std::string& ref : options.refs) request.add_refs(ref);
  Status released = (*head)->Release(request);
  if (!released.ok()) return console.Fail(released);
  if (console.json()) {
    console.Write(DumpJson({{"released", options.refs}}));
  } else {
    for (const std::string& ref : options.refs) console.Write("released " + ref + "\n");
  }
  return console.Finish(kExitOk);
}

}  // namespace kiln::cli
