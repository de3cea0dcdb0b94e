// Objects: put, get, wait, cancel, release.
#include "client/cli/command.h"

namespace kiln::cli {

void AddPut(CLI::App& parent, Invocation* invocation) {
  Command<PutOptions> command(parent, "put", "Make an object of a file's content", invocation);
  PutOptions& o = *command.options;
  command.app->add_option("file", o.file, "The file; - or nothing: standard input")->type_name("");
  auto* json = command.app->add_flag("--json-text,--json-value", o.json_text,
                                     "The content is JSON and becomes a value");
  command.app
      ->add_flag_function(
          "--bytes", [](int64_t) {}, "The content stays bytes (default)")
      ->excludes(json);
  command.Span("--ttl", &o.ttl, "The object is released after this; default: never").Connects();
  command.Examples(
      "  kiln put photo.jpg\n"
      "  echo '[1, 2, 3]' | kiln put --json-text\n"
      "  REF=$(kiln put --ttl 1h big.bin)");
  command.Runs(RunPut);
}

void AddGet(CLI::App& parent, Invocation* invocation) {
  Command<GetOptions> command(parent, "get", "Wait for an object and print it", invocation);
  GetOptions& o = *command.options;
  command.app->add_option("ref", o.ref, "The object")->required()->type_name("");
  command.Span("--timeout", &o.timeout, "Longest wait; 0: do not wait; default: without end");
  command.app->add_option("-o,--output", o.output, "Write it to a file")->type_name("FILE");
  command.app
      ->add_option("--encoding", o.encoding,
                   "json, bytes or value; default: bytes as they are, all else as JSON")
      ->check(OneOf({"json", "bytes", "value"}))
      ->type_name("ENCODING");
  command.Connects().Examples(
      "  kiln get 0000000000000007\n"
      "  kiln get --timeout 5 0000000000000007\n"
      "  kiln get -o photo.jpg 0000000000000008");
  command.Runs(RunGet);
}

void AddWait(CLI::App& parent, Invocation* invocation) {
  Command<WaitOptions> command(parent, "wait", "Wait until objects are ready", invocation);
  WaitOptions& o = *command.options;
  command.app->add_option("refs", o.refs, "The objects")->required()->type_name("");
  command.app->add_option("--num-returns", o.num_returns, "How many must be ready; default 1");
  command.Span("--timeout", &o.timeout, "Longest wait; 0: do not wait; default: without end");
  command.Connects().Examples(
      "  kiln wait 0000000000000007\n"
      "  kiln wait --num-returns 2 --timeout 10 0000000000000007 0000000000000008");
  command.Runs(RunWait);
}

void AddCancel(CLI::App& parent, Invocation* invocation) {
  Command<CancelOptions> command(parent, "cancel", "Cancel the task that makes an object",
                                 invocation);
  CancelOptions& o = *command.options;
  command.app->add_option("ref", o.ref, "Any result of the task")->required()->type_name("");
  command.app->add_flag("-f,--force", o.force, "Kill its worker if it runs");
  command.Connects().Examples(
      "  kiln cancel 0000000000000007\n  kiln cancel --force 0000000000000007");
  command.Runs(RunCancel);
}

void AddRelease(CLI::App& parent, Invocation* invocation) {
  Command<ReleaseOptions> command(parent, "release", "Give objects up", invocation);
  command.app->add_option("refs", command.options->refs, "The objects")->required()->type_name("");
  command.Connects().Examples("  kiln release 0000000000000007 0000000000000008");
  command.Runs(RunRelease);
}

}  // namespace kiln::cli
