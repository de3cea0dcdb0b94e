// `kiln run LIBRARY.so:FUNCTION ARGS...`: one task, its result as JSON.

#include <utility>

#include "client/cli/argument_text.h"
#include "client/cli/commands.h"
#include "client/cli/head_client.h"
#include "client/cli/results.h"

namespace kiln::cli {
namespace {

// Errors: InvalidArgument, NotFound (no such library).
Result<v1::RunRequest> MakeRequest(const RunOptions& options) {
  v1::RunRequest request;
  auto function = ParseFunctionRef(options.function);
  if (!function.ok()) return function.status();
  request.set_library(function->library);
  request.set_function(function->function);
  Status valid = CheckJsonArguments(options.args);
  if (!valid.ok()) return valid;
  for (const std::string& arg : options.args) request.add_json_args(arg);
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
  return PrintResults(console, **head, {options.connection, std::move(refs), options.timeout});
}

}  // namespace kiln::cli
