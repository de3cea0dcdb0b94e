// `kiln status`: the head at a glance.

#include <algorithm>
#include <map>

#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/head_client.h"
#include "client/cli/message_json.h"
#include "client/cli/quantity.h"

namespace kiln::cli {
namespace {

class StatusText {
 public:
  StatusText(const Console& console, const v1::Status& status)
      : console_(console), status_(status) {}

  std::string ToString() {
    Head();
    Resources();
    Work();
    if (status_.has_memory()) Memory();
    Failures();
    return text_;
  }

 private:
  void Title(const std::string& title) {
    text_ += "\n" + console_.Paint(Colour::kBold, title) + "\n";
  }
  void Line(const std::string& name, const std::string& value) {
    text_ += "  " + name + std::string(name.size() < 10 ? 10 - name.size() : 1, ' ') + value + "\n";
  }

  void Head() {
    int64_t now_ms = WallMilliseconds();
    text_ += console_.Paint(Colour::kBold,
                            "======== kiln status: " + FormatWallTime(now_ms) + " ========") +
             "\n";
    milliseconds up(std::max<int64_t>(0, now_ms - status_.started_ms()));
    Line("Head", "kiln " + status_.version() + ", pid " + std::to_string(status_.pid()) + ", up " +
                     FormatSpan(up));
    Line("Address",
         status_.address() + (status_.tcp_address().empty() ? "" : ", " + status_.tcp_address()));
    Line("Logs", status_.log_dir());
  }

  void Resources() {
    const v1::Resources& total = status_.total();
    const v1::Resources& used = status_.used();
    Title("Resources (used/total)");
    text_ += "  " + Share(used.num_cpus(), total.num_cpus()) + " CPU\n";
    if (total.memory_bytes() != 0) {
      text_ += "  " + FormatSize(used.memory_bytes()) + "/" + FormatSize(total.memory_bytes()) +
               " memory\n";
    }
    text_ += "  " + FormatSize(status_.store_used_bytes()) + "/" +
             FormatSize(status_.store_capacity_bytes()) + " object_store_memory (" + Pages() +
             ")\n";
    // A map has no order; people want the same one each time.
    std::map<std::string, double> custom(total.custom().begin(), total.custom().end());
    for (const auto& [name, amount] : custom) {
      auto held = used.custom().find(name);
      text_ +=
          "  " + Share(held == used.custom().end() ? 0 : held->second, amount) + " " + name + "\n";
    }
  }

  std::string Pages() const {
    std::string warm = FormatSize(status_.store_warm_bytes()) + " warm";
    if (status_.store_pages() == "huge") return "huge pages, " + warm;
    const std::string& reason = status_.store_pages_reason();
    return "4 KiB pages, " + warm + (reason.empty() ? "" : "; no huge ones: " + reason);
  }

  static std::string Share(double used, double total) {
    return FormatNumber(used) + "/" + FormatNumber(total);
  }

  void Work() {
    auto text = [](uint64_t number) { return std::to_string(number); };
    Title("Work");
    Line("Workers", Workers());
    Line("Actors", Actors());
    Line("Tasks", text(status_.tasks_running()) + " running, " + text(status_.tasks_ready()) +
                      " ready, " + text(status_.tasks_waiting()) + " waiting for arguments (" +
                      FormatSize(status_.queued_bytes()) + " of arguments)");
    std::string failed = text(status_.tasks_failed()) + " failed";
    if (status_.tasks_failed() != 0) failed = console_.Paint(Colour::kYellow, failed);
    Line("Done", text(status_.tasks_finished()) + " finished, of those " + failed);
    Line("Objects", text(status_.objects()));
    Line("Drivers", text(status_.drivers()));
    Line("Jobs", text(status_.jobs_active()) + " active");
  }

  // One pool, two counts: processes that run tasks are bounded by what the CPUs can use, those of
  // actors by what the system can hold.
  std::string Workers() const {
    const uint32_t for_tasks = status_.workers() - status_.actor_processes();
    std::string text = std::to_string(for_tasks) + " for tasks, of at most " +
                       std::to_string(status_.max_workers()) + " (" +
                       std::to_string(status_.workers_idle()) + " idle, " +
                       std::to_string(status_.workers_blocked()) + " blocked in get";
    if (status_.workers_starting() != 0) {
      text += ", " + std::to_string(status_.workers_starting()) + " starting";
    }
    return text + ")";
  }

  std::string Actors() const {
    std::string text =
        std::to_string(status_.actors()) + ", of at most " + std::to_string(status_.max_actors());
    if (status_.actors_starting() != 0) {
      text += " (" + std::to_string(status_.actors_starting()) + " starting)";
    }
    if (status_.actor_processes() != 0) {
      text += ", in " + std::to_string(status_.actor_processes()) +
              (status_.actor_processes() == 1 ? " more process" : " more processes") + " with " +
              FormatSize(status_.actor_memory_bytes());
    }
    return text;
  }

  // One kind of record: how many, what they cost together, and each.
  void Records(const std::string& name, uint64_t count, uint64_t bytes, const std::string& more) {
    std::string text = std::to_string(count) + " in " + FormatSize(bytes);
    if (count > 0) text += ", " + std::to_string(bytes / count) + " bytes each";
    Line(name, text + more);
  }

  void Memory() {
    const v1::MemoryUse& use = status_.memory();
    Title("Memory of the head, without the store");
    Records("Tasks", use.tasks(), use.task_bytes(),
            "; arguments " + FormatSize(use.argument_bytes()));
    Records("Objects", use.objects(), use.object_bytes(),
            "; values " + FormatSize(use.value_bytes()));
    Records("Refs", use.references(), use.reference_bytes(), "");
    Line("Heap", FormatSize(use.heap_used_bytes()) + " in use, " +
                     FormatSize(use.heap_free_bytes()) + " free");
    if (use.pss_bytes() != 0) Line("Process", FormatSize(use.pss_bytes()) + " PSS");
  }

  void Failures() {
    if (status_.worker_failures().empty()) return;
    Title("Workers that cannot start");
    for (const std::string& failure : status_.worker_failures()) {
      text_ += "  " + console_.Paint(Colour::kRed, failure) + "\n";
    }
  }

  const Console& console_;
  const v1::Status& status_;
  std::string text_;
};

}  // namespace

int RunStatus(Console& console, const StatusOptions& options) {
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  v1::GetStatusRequest request;
  request.set_memory(options.memory);
  auto status = (*head)->GetStatus(request);
  if (status.ok() && status->actor_processes() != 0) {  // asked for apart: it may take seconds
    request.set_actor_memory(true);
    status = (*head)->GetStatus(request);
  }
  if (!status.ok()) return console.Fail(status.status());
  console.Write(console.json() ? DumpJson(ToJson(*status))
                               : StatusText(console, *status).ToString());
  return console.Finish(kExitOk);
}

}  // namespace kiln::cli
