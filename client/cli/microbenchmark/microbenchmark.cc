// `kiln microbenchmark`: what kiln costs on this machine, beside what the machine can do at best.
//
// The command itself measures nothing: it runs the parts one after the other, once per transport,
// and prints what they report. So Ctrl-C needs no part's help.
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <regex>

#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/interrupt.h"
#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/part_process.h"
#include "client/cli/microbenchmark/parts.h"
#include "client/cli/microbenchmark/side_by_side.h"
#include "kiln/kiln.h"

namespace kiln::cli {

using namespace microbenchmark;

namespace {

// A directory for everything the parts make: heads' session directories above all.
class BenchDir {
 public:
  BenchDir() {
    path_ = std::filesystem::temp_directory_path() / "kiln-bench-XXXXXX";
    if (!mkdtemp(path_.data())) path_.clear();
  }
  ~BenchDir() {
    if (path_.empty()) return;
    StopHeadsIn(path_);
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  BenchDir(const BenchDir&) = delete;
  BenchDir& operator=(const BenchDir&) = delete;

  const std::string& path() const { return path_; }  // empty: it could not be made

 private:
  std::string path_;
};

// As the part lists them, whatever the first transport lacks.
std::vector<Figure> InOrder(const Part& part, std::vector<Figure> figures) {
  auto place = [&](const Figure& figure) {
    return std::find(part.figures.begin(), part.figures.end(), figure.name);
  };
  std::stable_sort(figures.begin(), figures.end(),
                   [&](const Figure& a, const Figure& b) { return place(a) < place(b); });
  return figures;
}

// Runs parts and prints their figures.
class Supervisor {
 public:
  Supervisor(Console* console, const MicrobenchmarkOptions& options)
      : console_(console),
        options_(options),
        wants_(options.filter, options.quick),
        show_progress_(isatty(STDERR_FILENO)) {}

  int Run() {
    if (dir_.path().empty()) {
      return console_->Fail({Code::kUnavailable, "cannot make a directory for temporary files"},
                            kExitFailed);
    }
    std::vector<std::string> transports;
    if (options_.transport == "both") {
      transports = {"shm", "grpc"};
    } else {
      transports = {options_.transport};
    }
    bool by_transport = std::any_of(Parts().begin(), Parts().end(), [this](const Part& part) {
      return part.by_transport && Wanted(part);
    });
    if (by_transport) {
      std::erase_if(transports, [this](const std::string& name) { return !Probe(name); });
    }
    std::string above;
    for (const Part& part : Parts()) {
      if (interrupt_.raised() || console_->broken()) break;
      if (!Wanted(part)) continue;
      SideBySide table(part.by_transport ? transports : std::vector<std::string>());
      std::vector<Figure> figures;
      if (part.by_transport) {
        for (const std::string& name : transports) RunOne(part, name, &figures);
      } else {
        RunOne(part, "", &figures);
      }
      if (console_->json() || figures.empty()) continue;
      std::string title = part.title.empty() ? above : part.title;
      if (title != above || !titled_) {
        console_->Write((titled_ ? "\n" : "") + console_->Paint(Colour::kBold, title) + "\n" +
                        table.Titles());
      }
      titled_ = true;
      above = title;
      console_->Write(table.Rows(InOrder(part, std::move(figures))));
    }
    if (interrupt_.raised()) return console_->Fail({Code::kCancelled, "interrupted"});
    if (by_transport && transports.empty()) failed_ = true;
    return console_->Finish(failed_ ? kExitFailed : kExitOk);
  }

 private:
  bool Wanted(const Part& part) const {
    return std::any_of(part.figures.begin(), part.figures.end(),
                       [this](const std::string& name) { return wants_.Wants({name}); });
  }

  std::vector<std::string> EnvironmentFor(const std::string& transport) const {
    std::vector<std::string> environment = {
        "TMPDIR=" + dir_.path(), "KILN_ADDRESS=", "KILN_SESSION_DIR=" + dir_.path() + "/none"};
    if (!transport.empty()) environment.push_back("KILN_TRANSPORT=" + transport);
    return environment;
  }

  // Returns: whether sessions come about over this transport; says why not.
  bool Probe(const std::string& transport) {
    PartOptions probe = {
        .part = "probe", .environment = EnvironmentFor(transport), .own_group = true};
    Result<PartProcess> process = PartProcess::Start(probe);
    if (process.ok()) {
      while (process->ReadLine(&interrupt_)) {
      }
      if (interrupt_.raised() || process->Wait().ok()) return true;
    }
    console_->Note("nothing is measured over " + transport);
    return false;
  }

  void RunOne(const Part& part, const std::string& transport, std::vector<Figure>* figures) {
    if (interrupt_.raised()) return;
    Progress("measuring: " + part.name + (transport.empty() ? "" : " over " + transport));
    PartOptions what = {.part = part.name,
                        .filter = options_.filter,
                        .quick = options_.quick,
                        .environment = EnvironmentFor(transport),
                        .own_group = true};
    Result<PartProcess> process = PartProcess::Start(what);
    Status status = process.ok() ? Status() : process.status();
    while (process.ok()) {
      std::optional<std::string> line = process->ReadLine(&interrupt_);
      if (!line) break;
      Result<Figure> figure = ParseFigure(*line);
      if (!figure.ok()) {
        status = figure.status();
        continue;
      }
      figures->push_back(*figure);
      if (console_->json()) console_->Write(*line + "\n");
    }
    if (!interrupt_.raised() && process.ok() && status.ok()) status = process->Wait();
    Progress("");
    if (status.ok() || interrupt_.raised()) return;
    console_->Note(status.message() + (transport.empty() ? "" : ", over " + transport));
    failed_ = true;
  }

  // One line on a terminal, in place of the last.
  void Progress(const std::string& text) {
    if (show_progress_) console_->Aside("\r\x1b[K" + text);
  }

  Console* console_;
  const MicrobenchmarkOptions& options_;
  Report wants_;
  bool show_progress_;
  bool titled_ = false;
  bool failed_ = false;
  Interrupt interrupt_{SIGINT, SIGTERM};
  BenchDir dir_;
};

int RunPart(Console& console, const MicrobenchmarkOptions& options) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto part = std::find_if(Parts().begin(), Parts().end(),
                           [&](const Part& each) { return each.name == options.part; });
  if (part == Parts().end()) return console.FailUsage("there is no part " + options.part);
  Report report(options.filter, options.quick);
  Status status = part->measure(&report);
  if (status.ok()) return kExitOk;
  report.Note(part->name + ": " + status.message());
  return kExitFailed;
}

}  // namespace

void ServeMicrobenchmark(int argc, char** argv) {
  if (std::getenv("KILN_WORKER")) Connect(argc, argv);
}

int RunMicrobenchmark(Console& console, const MicrobenchmarkOptions& options) {
  try {
    if (!options.part.empty()) return RunPart(console, options);
    return Supervisor(&console, options).Run();
  } catch (const std::regex_error& error) {
    return console.FailUsage("--filter " + options.filter + ": " + error.what());
  } catch (const std::exception& error) {
    return console.Fail(Status(Code::kUnknown, error.what()), kExitFailed);
  }
}

}  // namespace kiln::cli
