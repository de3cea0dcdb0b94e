// What a head is given to do: submit, job, run, actor.
#include <cctype>

#include "client/cli/command.h"

namespace kiln::cli {
namespace {

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

}  // namespace

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
  AddRowOptions(*list.app, list.options.get());
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

namespace {

// Everything CLI11 did not know: what to call, then its arguments, among them negative numbers.
std::vector<std::string> TakeWords(CLI::App& app) {
  std::vector<std::string> words = app.remaining();
  for (const std::string& word : words) {
    bool option =
        word.size() > 1 && word[0] == '-' && !std::isdigit(static_cast<unsigned char>(word[1]));
    if (option) throw CLI::ExtrasError({word});
  }
  return words;
}

void TakeFunction(CLI::App& app, RunOptions& options) {
  std::vector<std::string> words = TakeWords(app);
  if (words.empty()) {
    throw CLI::ValidationError(
        "there is no function to run; write LIBRARY.so:FUNCTION or MODULE:FUNCTION",
        CLI::ExitCodes::RequiredError);
  }
  options.function = words.front();
  options.args.assign(words.begin() + 1, words.end());
}

void TakeMethod(CLI::App& app, ActorCallOptions& options) {
  std::vector<std::string> words = TakeWords(app);
  if (words.size() < 2) {
    throw CLI::ValidationError(
        words.empty() ? "there is no actor to call; write its NAME or ID, and a METHOD"
                      : "there is no method of " + words[0] + " to call; write its name",
        CLI::ExitCodes::RequiredError);
  }
  options.actor.word = words[0];
  options.method = words[1];
  options.args.assign(words.begin() + 2, words.end());
}

void AddNamespace(CLI::App& app, ActorWord* actor) {
  app.add_option("-n,--namespace", actor->name_space, "Of its name; default: none")
      ->type_name("NAME");
}

}  // namespace

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
  command.TakesWords("LIBRARY.so:FUNCTION [JSON ARGS...]");
  command.Runs(RunRun, TakeFunction);
}

void AddActor(CLI::App& parent, Invocation* invocation) {
  CLI::App* actor = parent.add_subcommand("actor", "List, call and kill actors");
  actor->require_subcommand(1);
  actor->footer(
      "Examples:\n  kiln actor list\n  kiln actor call counter add 5\n  kiln actor kill counter");

  Command<ListOptions> list(*actor, "list", "All actors, newest first", invocation);
  list.options->what = "actors";
  AddRowOptions(*list.app, list.options.get());
  list.Connects()
      .Examples("  kiln actor list\n  kiln actor list --filter state!=DEAD --json")
      .Runs(RunList);

  Command<ActorCallOptions> call(*actor, "call", "Call a method of an actor", invocation);
  ActorCallOptions& o = *call.options;
  call.app->add_flag("-d,--detach,--no-wait", o.detach,
                     "Print the ref of the result and return at once");
  call.Span("--timeout", &o.timeout, "Longest wait for the result; the call goes on after it")
      .Span("--ttl", &o.ttl, "The result is released after this");
  AddNamespace(*call.app, &o.actor);
  call.Connects().Examples(
      "  kiln actor call counter add 5\n"
      "  kiln actor call --namespace prod store put '\"key\"' '{\"any\": \"value\"}'\n"
      "  kiln actor call --no-wait 0000001f00000003 train '{\"$ref\": \"0000000000000007\"}'\n"
      "The actor is named by its name, or by its id from 'kiln list actors'. Each argument is a\n"
      "JSON text; {\"$ref\": \"...\"} passes an object.");
  call.TakesWords("NAME|ID METHOD [JSON ARGS...]");
  call.Runs(RunActorCall, TakeMethod);

  Command<ActorKillOptions> kill(*actor, "kill", "End an actor at once", invocation);
  kill.app->add_option("actor", kill.options->actor.word, "Its name, or its id")
      ->required()
      ->type_name("");
  AddNamespace(*kill.app, &kill.options->actor);
  kill.app->add_flag("--restart", kill.options->restart,
                     "End its process only: it is started anew, if its max_restarts allows");
  kill.Connects().Examples(
      "  kiln actor kill counter\n"
      "  kiln actor kill --namespace prod --restart store\n"
      "  kiln actor kill 0000001f00000003\n"
      "Calls of it that have not ended fail.");
  kill.Runs(RunActorKill);
}

}  // namespace kiln::cli
