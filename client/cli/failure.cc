#include "client/cli/failure.h"

#include "client/cli/exit_codes.h"
#include "client/cli/message_json.h"

namespace kiln::cli {

int FailTask(Console& console, const v1::TaskFailure& failure) {
  std::string text = "kiln: " + failure.kind();
  if (!failure.task().empty()) text += " in task " + failure.task();
  if (failure.worker_pid() != 0) text += " (pid " + std::to_string(failure.worker_pid()) + ")";
  text += ": ";
  if (!failure.type().empty()) text += failure.type() + ": ";
  text += failure.message() + "\n";
  for (const std::string& task : failure.chain()) {
    text += "  and so failed task " + task + ", which had its result as an argument\n";
  }
  text += failure.traceback();
  nlohmann::ordered_json document;
  document["error"] = {{"code", failure.kind()},
                       {"message", failure.message()},
                       {"exit_code", kExitFailed},
                       {"task_failure", ToJson(failure)}};
  return console.FailWith(text, DumpJson(document));
}

}  // namespace kiln::cli
