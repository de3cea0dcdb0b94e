// `kiln`: reads the command line, carries the command out, says how it went by its exit code.

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <memory>

#include "client/cli/command_line.h"
#include "client/cli/commands.h"
#include "client/cli/console.h"
#include "client/cli/exit_codes.h"
#include "common/nearest.h"

namespace kiln::cli {
namespace {

constexpr const char* kFooter =
    "Exit codes:\n"
    "  0    done\n"
    "  1    failed: refused, not found, a task's own error\n"
    "  2    the command line is wrong\n"
    "  3    no head is running there, or it went away\n"
    "  124  --timeout was over\n"
    "  130  interrupted by Ctrl-C\n"
    "  141  the reader of standard output left\n"
    "  'kiln submit' exits with the job's own code\n"
    "\n"
    "Environment: KILN_ADDRESS, KILN_SESSION_DIR, KILN_TOKEN, NO_COLOR\n"
    "Help on a command: kiln COMMAND --help\n"
    "First steps: kiln start --head; kiln run LIBRARY.so:FUNCTION 1 2; kiln status; kiln stop";

using Words = std::vector<std::string>;

// A file opened later must not become standard output by chance.
void OpenStandardFiles() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The wrong way round on purpose: using a closed stream stays an error.
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

// "kiln job submit"
std::string CommandPath(const CLI::App* command) {
  std::string path = command->get_name();
  while ((command = command->get_parent())) path = command->get_name() + " " + path;
  return path;
}

Words CommandNames(const CLI::App& app) {
  Words names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_name().empty()) names.push_back(command->get_name());
  }
  return names;
}

// Help as CLI11 writes it, but for a first line that can be typed as it stands.
class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(const Invocation* invocation) : invocation_(invocation) {
    column_width(32);
  }
  std::string make_usage(const CLI::App* app, std::string) const override {
    std::string usage = "Usage: " + CommandPath(app) + " [OPTIONS]";
    for (const CLI::Option* word :
         app->get_options([](const CLI::Option* option) { return option->get_positional(); })) {
      std::string name = word->get_name(/*positional=*/true);
      if (word->get_expected_max() > 1) name += "...";
      usage += word->get_required() ? " " + name : " [" + name + "]";
    }
    if (app->get_prefix_command()) usage += " -- COMMAND [ARGS...]";
    if (auto words = invocation_->words.find(app); words != invocation_->words.end()) {
      usage += " " + words->second;
    }
    if (!CommandNames(*app).empty()) usage += " COMMAND";
    return usage + "\n";
  }

 private:
  const Invocation* const invocation_;
};

// Requires of both: `words` is the command line without the program's name.
bool IsSubmit(const Words& words) {
  return (!words.empty() && words[0] == "submit") ||
         (words.size() > 1 && words[0] == "job" && words[1] == "submit");
}
bool IsCall(const Words& words) {
  return (!words.empty() && words[0] == "run") ||
         (words.size() > 1 && words[0] == "actor" && words[1] == "call");
}

// What follows "--" in a submit belongs to the job.
void SplitJobCommand(Words* words, Invocation* invocation) {
  auto dashes = std::find(words->begin(), words->end(), "--");
  if (!IsSubmit(*words) || dashes == words->end()) return;
  invocation->has_job_command = true;
  invocation->job_command.assign(dashes + 1, words->end());
  words->erase(dashes, words->end());
}

// Returns: what is wrong with the name of the command; empty if nothing is.
std::string CheckCommandName(const CLI::App& app, const Words& words) {
  const CLI::App* group = &app;
  std::string path = "kiln";
  for (const std::string& word : words) {
    Words names = CommandNames(*group);
    if (names.empty() || word.empty() || word[0] == '-') return "";
    if (std::find(names.begin(), names.end(), word) == names.end()) {
      std::string nearest = Nearest(word, names);
      return "unknown command '" + word + "'; " +
             (nearest.empty() ? "" : "did you mean '" + path + " " + nearest + "'? ") +
             "See: " + path + " --help";
    }
    group = group->get_subcommand(word);
    path += " " + word;
  }
  return "";
}

const CLI::App* ParsedCommand(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  return command;
}

std::string Sentence(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '.')) text.pop_back();
  return text;
}

int Main(Words words) {
  CLI::App app("kiln: tasks, objects and jobs on one machine.", "kiln");
  app.set_version_flag("--version", "kiln " KILN_VERSION);
  app.require_subcommand(1);
  app.footer(kFooter);
  Invocation invocation;
  app.formatter(std::make_shared<HelpFormatter>(&invocation));
  AddCommands(app, &invocation);

  SplitJobCommand(&words, &invocation);
  // CLI11 would give what follows "--" to the parent command.
  if (IsCall(words)) std::erase(words, "--");
  Console early(std::find(words.begin(), words.end(), "--json") != words.end());
  std::string mistake = CheckCommandName(app, words);
  if (!mistake.empty()) return early.FailUsage(mistake);
  if (words.empty()) {
    early.Aside(app.help());
    return kExitUsage;
  }
  try {
    std::reverse(words.begin(), words.end());  // what CLI11 wants
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    early.Write(app.help());
    return early.Finish(kExitOk);
  } catch (const CLI::CallForVersion& version) {
    early.Write(std::string(version.what()) + "\n");
    return early.Finish(kExitOk);
  } catch (const CLI::ParseError& error) {
    return early.FailUsage(Sentence(error.what()) + "; see: " + CommandPath(ParsedCommand(app)) +
                           " --help");
  }
  Console console(invocation.json);
  return invocation.run(console);
}

}  // namespace
}  // namespace kiln::cli

int main(int argc, char** argv) {
  kiln::cli::ServeMicrobenchmark(argc, argv);
  kiln::cli::OpenStandardFiles();
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write(), see Console
  return kiln::cli::Main({argv + 1, argv + argc});
}
