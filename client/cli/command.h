// How commands are described to CLI11: one of them under construction, with what all of them share.
//
// CLI11 costs 5 s to compile (Debian 12, g++ 12): main.cc and the *_commands.cc files alone see it.
//
// Thread: one.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/command_line.h"
#include "client/cli/commands.h"
#include "client/cli/quantity.h"

namespace kiln::cli {

// CLI11's checks without their words in the help, where the option's own stand.
inline CLI::Validator NotNegative() {
  return CLI::Validator(CLI::NonNegativeNumber).description("");
}
inline CLI::Validator Between(int least, int most) {
  return CLI::Range(least, most).description("");
}
inline CLI::Validator OneOf(std::vector<std::string> names) {
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
  // CLI11 leaves words that are no options over, for `finish` of Runs. `usage`: what they are.
  void TakesWords(const std::string& usage) {
    app->allow_extras();
    invocation_->words[app] = usage;
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

// head_commands.cc
// Which rows of a list are shown.
void AddRowOptions(CLI::App& app, ListOptions* options);
void AddStart(CLI::App& parent, Invocation* invocation);
void AddStop(CLI::App& parent, Invocation* invocation);
void AddStatus(CLI::App& parent, Invocation* invocation);
void AddList(CLI::App& parent, Invocation* invocation);
void AddMicrobenchmark(CLI::App& parent, Invocation* invocation);

// work_commands.cc
// `what`: its help; it stands in two places.
void AddSubmit(CLI::App& parent, const std::string& what, Invocation* invocation);
void AddJob(CLI::App& parent, Invocation* invocation);
void AddRun(CLI::App& parent, Invocation* invocation);
void AddActor(CLI::App& parent, Invocation* invocation);

// object_commands.cc
void AddPut(CLI::App& parent, Invocation* invocation);
void AddGet(CLI::App& parent, Invocation* invocation);
void AddWait(CLI::App& parent, Invocation* invocation);
void AddCancel(CLI::App& parent, Invocation* invocation);
void AddRelease(CLI::App& parent, Invocation* invocation);

}  // namespace kiln::cli
