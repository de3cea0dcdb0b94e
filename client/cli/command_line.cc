#include "client/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <memory>

#include "client/cli/commands.h"
#include "client/cli/nearest.h"
#include "client/cli/quantity.h"

namespace kiln::cli {
namespace {

// CLI11's checks without their words in the help, where the option's own stand.
CLI::Validator NotNegative() {
  return CLI::Validator(CLI::NonNegativeNumber).description("");
}
CLI::Validator Between(int least, int most) {
  return CLI::Range(least, most).description("");
}
CLI::Validator OneOf(std::vector<std::string> names) {
  return CLI::IsMember(std::move(names)).description("");
}

// One command under construction, with the options all of them share.
template <typename Options>
class Command {
 public:
  Command(CLI::App& parent, const std::string& name, const std::string& what,
          Invocation* invocation)
      : app(parent.add_subcommand(name, what)), invocation_(invocation) {
    app->add_flag("--json", invocation->json,
                  "One JSON document on standard output; errors as JSON");
  }

  Command& Connects() {
    app->add_option("--address", options->connection.address,
                    "unix:PATH or HOST:PORT; else KILN_ADDRESS")
        ->group("Which head");
    app->add_option("--session-dir", options->connection.session_dir,
                    "Its session directory; else KILN_SESSION_DIR, else your own")
        ->type_name("DIR")
        ->group("Which head");
    return *this;
  }
  // A time: "30", "500ms", "5m".
  template <typename Target>
  Command& Span(const std::string& flag, Target* target, const std::string& what) {
    app->add_option_function<std::string>(
           flag,
           [flag, target](const std::string& text) {
             auto span = ParseSpan(text);
             if (!span.ok()) throw CLI::ValidationError(flag, span.status().message());
             *target = *span;
           },
           what)
        ->type_name("SECONDS");
    return *this;
  }
  Command& Examples(const std::string& text) {
    app->footer("Examples:\n" + text);
    return *this;
  }
  // `finish` may look at what CLI11 left over.
  void Runs(int (*run)(Console&, const Options&),
            std::function<void(CLI::App&, Options&)> finish = nullptr) {
    app->callback([app = app, options = options, invocation = invocation_, run, finish] {
      if (finish) finish(*app, *options);
      invocation->run = [options, run](Console& console) { return run(console, *options); };
    });
  }

  CLI::App* app;
  std::shared_ptr<Options> options = std::make_shared<Options>();

 private:
  Invocation* invocation_;
};

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
  Command<StatusOptions> command(parent, "status", "Resources, workers, queue and store",
                                 invocation);
  command.app->add_flag("--memory", command.options->memory,
                        "What the head's own memory is used for, too");
  command.Connects().Examples(
      "  kiln status\n  kiln status --memory\n  kiln status --json | jq .store_used_bytes");
  command.Runs(RunStatus);
}

std::string CheckListed(const std::string& what) {
  static const std::vector<std::string> kWhat = {"tasks", "objects", "workers", "jobs", "sessions"};
  if (std::find(kWhat.begin(), kWhat.end(), what) != kWhat.end()) return "";
  std::string nearest = Nearest(what, kWhat);
  return "cannot list '" + what + "'; " +
         (nearest.empty() ? "it can be tasks, objects, workers, jobs or sessions"
                          : "perhaps you mean '" + nearest + "'");
}

void AddList(CLI::App& parent, Invocation* invocation) {
  Command<ListOptions> command(parent, "list", "List tasks, objects, workers, jobs or sessions",
                               invocation);
  ListOptions& o = *command.options;
  command.app->add_option("what", o.what, "tasks, objects, workers, jobs or sessions")
      ->required()
      ->type_name("");
  command.app
      ->add_option("-f,--filter", o.filters,
                   "Only rows where all hold: column=value, column!=value")
      ->type_name("COLUMN=VALUE")
      ->expected(1)
      ->take_all();
  command.app->add_option("--limit", o.limit, "Most rows; default 100")
      ->check(Between(1, 10'000'000));
  command.Connects().Examples(
      "  kiln list tasks --filter state=FAILED\n"
      "  kiln list objects --limit 10\n"
      "  kiln list jobs --json");
  command.Runs(RunList, [](CLI::App&, ListOptions& options) {
    std::string mistake = CheckListed(options.what);
    for (const std::string& filter : options.filters) {
      size_t equals = filter.find('=');
      if (equals == 0 || equals == std::string::npos) {
        mistake = "filter '" + filter + "' is not COLUMN=VALUE or COLUMN!=VALUE";
      }
    }
    if (!mistake.empty()) throw CLI::ValidationError(mistake, CLI::ExitCodes::ValidationError);
  });
}

// With or without "--": `kiln submit -- sort -u x`, `kiln submit sort -u x`.
void TakeJobCommand(const Invocation& invocation, CLI::App& app, JobSubmitOptions& options) {
  options.command = app.remaining();
  if (!options.command.empty() && options.command.front().front() == '-') {
    throw CLI::ExtrasError({options.command.front()});
  }
  if (!invocation.has_job_command) return;
  if (!options.command.empty()) options.command.push_back("--");  // it was the command's own
  options.command.insert(options.command.end(), invocation.job_command.begin(),
                         invocation.job_command.end());
}

void AddSubmit(CLI::App& parent, const std::string& what, Invocation* invocation) {
  Command<JobSubmitOptions> command(parent, "submit", what, invocation);
  JobSubmitOptions& o = *command.options;
  command.app->add_flag("--no-wait", o.no_wait, "Print the job's id and return at once");
  command.app->add_option("--name", o.name, "Shown in lists; default: the command's first word");
  command.app->add_option("--num-cpus", o.num_cpus, "CPUs it holds while it runs; default 0")
      ->check(NotNegative());
  command.app->add_option("-e,--env", o.env, "Set a variable, on top of your environment")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->take_all();
  command.app->add_option("--working-dir", o.working_dir, "Where it runs; default: here")
      ->type_name("DIR");
  command.Connects().Examples(
      "  kiln submit -- ./my_driver --size 10\n"
      "  kiln submit --no-wait --name nightly --env LEVEL=3 -- make -j4 report\n"
      "  kiln submit -- sh -c 'sort words.txt | uniq -c > counts.txt'\n"
      "Its output comes here and its exit code is ours. Ctrl-C stops following, not the job.");
  command.app->prefix_command();
  command.Runs(RunJobSubmit, [invocation](CLI::App& app, JobSubmitOptions& options) {
    TakeJobCommand(*invocation, app, options);
  });
}

void AddJob(CLI::App& parent, Invocation* invocation) {
  CLI::App* job = parent.add_subcommand("job", "Submit, list, follow and stop jobs");
  job->require_subcommand(1);
  job->footer(
      "Examples:\n  kiln job submit -- ./my_driver\n  kiln job list\n  kiln job logs -f job-1");
  AddSubmit(*job, "Run a command as a job", invocation);

  Command<ListOptions> list(*job, "list", "All jobs, newest first", invocation);
  list.options->what = "jobs";
  list.Connects().Examples("  kiln job list\n  kiln job list --json").Runs(RunList);

  auto id = [](Command<JobOptions>& command) {
    command.app->add_option("id", command.options->id, "Its id, such as job-1")
        ->required()
        ->type_name("");
    command.Connects();
  };
  Command<JobOptions> status(*job, "status", "One job in full", invocation);
  id(status);
  status.Examples("  kiln job status job-1").Runs(RunJobStatus);

  Command<JobOptions> logs(*job, "logs", "A job's output", invocation);
  id(logs);
  logs.app->add_flag("-f,--follow", logs.options->follow, "Stay until the job ends");
  logs.Examples("  kiln job logs job-1\n  kiln job logs -f job-1").Runs(RunJobLogs);

  Command<JobOptions> stop(*job, "stop", "End a job and all it started", invocation);
  id(stop);
  stop.Span("-g,--grace", &stop.options->grace, "Time between SIGTERM and SIGKILL; default 3");
  stop.Examples("  kiln job stop job-1").Runs(RunJobStop);
}

// Everything CLI11 did not know: the function, then its arguments, among them negative numbers.
void TakeFunction(CLI::App& app, RunOptions& options) {
  std::vector<std::string> words = app.remaining();
  for (const std::string& word : words) {
    bool option =
        word.size() > 1 && word[0] == '-' && !std::isdigit(static_cast<unsigned char>(word[1]));
    if (option) throw CLI::ExtrasError({word});
  }
  if (words.empty()) {
    throw CLI::ValidationError(
        "there is no function to run; write LIBRARY.so:FUNCTION or MODULE:FUNCTION",
        CLI::ExitCodes::RequiredError);
  }
  options.function = words.front();
  options.args.assign(words.begin() + 1, words.end());
}

void AddRun(CLI::App& parent, Invocation* invocation) {
  Command<RunOptions> command(parent, "run", "Run a function of a task library or a Python module",
                              invocation);
  RunOptions& o = *command.options;
  CLI::App& app = *command.app;
  app.add_flag("-d,--detach", o.detach, "Print the ref of the result and return at once");
  command.Span("--timeout", &o.timeout, "Longest wait for the result; the task goes on after it")
      .Span("--task-timeout", &o.task_timeout, "Longest run of the task, which is ended then")
      .Span("--ttl", &o.ttl, "The results are released after this");
  app.add_option("--num-cpus", o.num_cpus, "CPUs it holds while it runs; default 1")
      ->check(NotNegative());
  app.add_option_function<std::string>(
         "--memory",
         [&o](const std::string& text) {
           auto size = ParseSize(text);
           if (!size.ok()) throw CLI::ValidationError("--memory", size.status().message());
           o.memory_bytes = *size;
         },
         "Logical memory it holds while it runs")
      ->type_name("SIZE");
  app.add_option("--resources", o.resources, "Custom resources it holds: '{\"disk\": 1}'")
      ->type_name("JSON");
  app.add_option("--max-retries", o.max_retries,
                 "Runs again this often when its worker dies; -1: always; default 3")
      ->check(Between(-1, 1'000'000));
  app.add_flag("--retry-exceptions", o.retry_exceptions, "Run again also when it throws");
  app.add_option("--name", o.name, "Shown in lists and errors; default: the function's");
  app.add_option("--priority", o.priority, "Higher runs earlier; default 0");
  app.add_option("--num-returns", o.num_returns, "Results it has; default 1")
      ->check(Between(1, 65'536));
  command.Connects().Examples(
      "  kiln run ./libtasks.so:Add 1 2\n"
      "  kiln run ./libtasks.so:WordCount '\"to be or not to be\"'\n"
      "  kiln run statistics:mean '[1, 2, 6]'\n"
      "  kiln run --detach ./libtasks.so:Train '{\"epochs\": 3}' '{\"$ref\": "
      "\"0000000000000007\"}'\n"
      "Each argument is a JSON text; {\"$ref\": \"...\"} passes an object.");
  app.allow_extras();
  command.Runs(RunRun, TakeFunction);
}

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

}  // namespace

void AddCommands(CLI::App& app, Invocation* invocation) {
  AddStart(app, invocation);
  AddStop(app, invocation);
  AddStatus(app, invocation);
  AddList(app, invocation);
  AddSubmit(app, "Run a command as a job (kiln job submit)", invocation);
  AddJob(app, invocation);
  AddRun(app, invocation);
  AddPut(app, invocation);
  AddGet(app, invocation);
  AddWait(app, invocation);
  AddCancel(app, invocation);
  AddRelease(app, invocation);
  AddMicrobenchmark(app, invocation);
}

}  // namespace kiln::cli
