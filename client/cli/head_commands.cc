// What is asked of a head as a whole: start, stop, status, list, microbenchmark.
#include <algorithm>

#include "client/cli/command.h"
#include "common/nearest.h"

namespace kiln::cli {

void AddStart(CLI::App& parent, Invocation* invocation) {
  Command<StartOptions> command(parent, "start", "Start a head and its workers", invocation);
  StartOptions& o = *command.options;
  CLI::App& app = *command.app;
  app.add_flag("--head", o.head, "Start a head (this version starts nothing else)");
  app.add_option("--num-cpus", o.num_cpus,
                 "CPUs, and so workers; default: all this process may use")
      ->check(Between(1, 4096));
  app.add_option("--object-store-memory", o.object_store_memory,
                 "Size of the object store: 2GiB, 500MB; default: 30 % of available memory")
      ->type_name("SIZE");
  app.add_option("--store-pages", o.store_pages,
                 "Pages of the object store: auto (huge if possible), 4k or huge; default auto")
      ->check(OneOf({"auto", "4k", "huge"}))
      ->type_name("KIND");
  app.add_option("--store-prefault", o.store_prefault,
                 "Part of the object store that gets its memory ahead; 0: none; default: a quarter")
      ->type_name("SIZE");
  app.add_option("--resources", o.resources, "Custom resources: '{\"disk\": 2}'")
      ->type_name("JSON");
  app.add_option("--session-dir", o.session_dir,
                 "Where it lives; else KILN_SESSION_DIR, else your own directory");
  app.add_option("--listen", o.listen,
                 "Listen on TCP too, loopback only: 127.0.0.1:0 (0: any port)")
      ->type_name("HOST:PORT");
  app.add_flag("--block", o.block, "Stay attached; Ctrl-C stops the head");
  app.add_option("--log-level", o.log_level, "debug, info, warning, error or off; default info")
      ->check(OneOf({"debug", "info", "warning", "error", "off"}))
      ->type_name("LEVEL");
  command.Examples(
      "  kiln start --head\n"
      "  kiln start --head --num-cpus 4 --object-store-memory 2GiB\n"
      "  kiln start --head --session-dir /tmp/second --resources '{\"disk\": 2}'");
  command.Runs(RunStart);
}

void AddStop(CLI::App& parent, Invocation* invocation) {
  Command<StopOptions> command(parent, "stop", "Stop a head and all it started", invocation);
  StopOptions& o = *command.options;
  command.app->add_flag("-f,--force", o.force, "No grace period; kill the head if it hangs");
  command.Span("-g,--grace", &o.grace, "Time running tasks and jobs get; default 3").Connects();
  command.Examples("  kiln stop\n  kiln stop --grace 30\n  kiln stop --force");
  command.Runs(RunStop);
}

void AddStatus(CLI::App& parent, Invocation* invocation) {
  Command<StatusOptions> command(parent, "status", "Resources, workers, actors, queue and store",
                                 invocation);
  command.app->add_flag("--memory", command.options->memory,
                        "What the head's own memory is used for, too");
  command.Connects().Examples(
      "  kiln status\n  kiln status --memory\n  kiln status --json | jq .store_used_bytes");
  command.Runs(RunStatus);
}

namespace {

std::string CheckListed(const std::string& what) {
  static const std::vector<std::string> kWhat = {
      "tasks", "objects", "workers", "actors", "placement-groups", "jobs", "sessions"};
  if (std::find(kWhat.begin(), kWhat.end(), what) != kWhat.end()) return "";
  std::string nearest = Nearest(what, kWhat);
  return "cannot list '" + what + "'; " +
         (nearest.empty()
              ? "it can be tasks, objects, workers, actors, placement-groups, jobs or sessions"
              : "perhaps you mean '" + nearest + "'");
}

std::string CheckFilter(const std::string& filter) {
  size_t equals = filter.find('=');
  if (equals != 0 && equals != std::string::npos) return "";
  return "filter '" + filter + "' is not COLUMN=VALUE or COLUMN!=VALUE";
}

}  // namespace

void AddRowOptions(CLI::App& app, ListOptions* options) {
  app.add_option("-f,--filter", options->filters,
                 "Only rows where all hold: column=value, column!=value")
      ->type_name("COLUMN=VALUE")
      ->check(CLI::Validator(CheckFilter, ""))
      ->expected(1)
      ->take_all();
  app.add_option("--limit", options->limit, "Most rows; default 100")
      ->check(Between(1, 10'000'000));
}

void AddList(CLI::App& parent, Invocation* invocation) {
  Command<ListOptions> command(
      parent, "list", "List tasks, objects, workers, actors, placement groups, jobs or sessions",
      invocation);
  ListOptions& o = *command.options;
  command.app
      ->add_option("what", o.what,
                   "tasks, objects, workers, actors, placement-groups, jobs or sessions")
      ->required()
      ->type_name("");
  AddRowOptions(*command.app, &o);
  command.Connects().Examples(
      "  kiln list tasks --filter state=FAILED\n"
      "  kiln list objects --limit 10\n"
      "  kiln list actors --filter state!=DEAD\n"
      "  kiln list jobs --json");
  command.Runs(RunList, [](CLI::App&, ListOptions& options) {
    std::string mistake = CheckListed(options.what);
    if (!mistake.empty()) throw CLI::ValidationError(mistake, CLI::ExitCodes::ValidationError);
  });
}

void AddMicrobenchmark(CLI::App& parent, Invocation* invocation) {
  Command<MicrobenchmarkOptions> command(
      parent, "microbenchmark", "What kiln costs on this machine, by transport", invocation);
  MicrobenchmarkOptions& o = *command.options;
  command.app->add_option("--filter", o.filter, "Only those whose name matches")
      ->type_name("REGEX");
  command.app->add_option("--transport", o.transport, "shm, grpc or both; default both")
      ->check(OneOf({"shm", "grpc", "both"}))
      ->type_name("NAME");
  command.app->add_flag("--quick", o.quick, "Shorter and less exact: a minute instead of three");
  command.app->add_option("--part", o.part)->group("");  // what it starts itself with
  command.Examples(
      "  kiln microbenchmark\n"
      "  kiln microbenchmark --filter 'tasks (a)?sync' --transport shm\n"
      "  kiln microbenchmark --json --filter 'put' > figures");
  command.Runs(RunMicrobenchmark, [invocation](CLI::App&, MicrobenchmarkOptions& options) {
    options.json = invocation->json;
  });
}

}  // namespace kiln::cli
