// `kiln list WHAT`: what the head knows, as a table or as JSON.

#include <algorithm>
#include <map>
#include <string>

#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/head_client.h"
#include "client/cli/job_text.h"
#include "client/cli/message_json.h"
#include "client/cli/quantity.h"
#include "client/cli/row_filter.h"
#include "client/cli/shell_text.h"
#include "client/cli/table.h"

namespace kiln::cli {
namespace {

std::string Text(uint64_t number) {
  return std::to_string(number);
}
std::string OrNone(uint64_t number) {
  return number == 0 ? "-" : std::to_string(number);
}

Table MakeTable(const v1::ListTasksResponse& response) {
  Table table{{{"id"},
               {"name"},
               {"state"},
               {"worker pid", true},
               {"session", true},
               {"attempt", true},
               {"priority", true},
               {"submitted"},
               {"time", true},
               {"detail"}},
              {}};
  for (const auto& row : response.tasks()) {
    milliseconds time(row.run_us() / 1000);
    table.rows.push_back(
        {row.id(), row.name(), row.state(), OrNone(static_cast<uint64_t>(row.worker_pid())),
         row.session_number() == 0 ? "detached" : Text(row.session_number()), Text(row.attempt()),
         std::to_string(row.priority()), FormatWallTime(row.submitted_ms()),
         row.run_us() == 0 ? "-" : FormatSpan(time), row.detail()});
  }
  return table;
}

Table MakeTable(const v1::ListObjectsResponse& response) {
  Table table{{{"ref"},
               {"state"},
               {"size", true},
               {"place"},
               {"references", true},
               {"session", true},
               {"task"}},
              {}};
  for (const auto& row : response.objects()) {
    std::string state = row.state() + (row.is_error() ? " (error)" : "");
    table.rows.push_back(
        {row.ref(), state, row.state() == "PENDING" ? "-" : FormatSize(row.size_bytes()),
         row.in_store() ? "store" : "inline", Text(row.references()),
         row.session_number() == 0 ? "head" : Text(row.session_number()), row.task()});
  }
  return table;
}

Table MakeTable(const v1::ListWorkersResponse& response) {
  Table table{{{"id", true},
               {"pid", true},
               {"state"},
               {"assigned", true},
               {"finished", true},
               {"task"},
               {"program"}},
              {}};
  for (const auto& row : response.workers()) {
    table.rows.push_back({Text(row.id()), std::to_string(row.pid()), row.state(),
                          Text(row.assigned()), Text(row.finished()), row.task(), row.program()});
  }
  return table;
}

Table MakeTable(const v1::ListActorsResponse& response) {
  Table table{{{"id"},
               {"name"},
               {"class"},
               {"state"},
               {"pid", true},
               {"memory", true},
               {"restarts", true},
               {"pending", true},
               {"finished", true},
               {"references", true},
               {"detail"}},
              {}};
  for (const auto& row : response.actors()) {
    table.rows.push_back({row.id(), row.name(), row.class_name(), row.state(),
                          OrNone(static_cast<uint64_t>(row.pid())),
                          row.memory_bytes() == 0 ? "-" : FormatSize(row.memory_bytes()),
                          Text(row.restarts()), Text(row.pending_calls()),
                          Text(row.finished_calls()), Text(row.references()), row.detail()});
  }
  const bool any_namespace =
      std::any_of(response.actors().begin(), response.actors().end(),
                  [](const v1::ActorInfo& row) { return !row.namespace_().empty(); });
  if (any_namespace) {
    constexpr int kAt = 2;  // beside the name
    table.columns.insert(table.columns.begin() + kAt, {"namespace"});
    for (int i = 0; i < response.actors_size(); ++i) {
      auto& cells = table.rows[static_cast<size_t>(i)];
      cells.insert(cells.begin() + kAt, response.actors(i).namespace_());
    }
  }
  return table;
}

// "2 CPU, 1 disk"; of a group's bundles one after the other, in braces.
std::string AmountsText(const v1::Resources& amounts) {
  std::string text;
  const auto add = [&](const std::string& amount) { text += (text.empty() ? "" : ", ") + amount; };
  if (amounts.num_cpus() != 0) add(FormatNumber(amounts.num_cpus()) + " CPU");
  if (amounts.memory_bytes() != 0) add(FormatSize(amounts.memory_bytes()) + " memory");
  const std::map<std::string, double> custom(amounts.custom().begin(), amounts.custom().end());
  for (const auto& [name, amount] : custom) add(FormatNumber(amount) + " " + name);
  return text.empty() ? "nothing" : text;
}

Table MakeTable(const v1::ListPlacementGroupsResponse& response) {
  Table table{{{"id"}, {"name"}, {"state"}, {"bundles"}, {"used"}, {"session", true}, {"detail"}},
              {}};
  for (const auto& row : response.groups()) {
    std::string bundles;
    for (const auto& bundle : row.bundles()) {
      bundles += (bundles.empty() ? "{" : " {") + AmountsText(bundle) + "}";
    }
    table.rows.push_back({row.id(), row.name(), row.state(), bundles, AmountsText(row.used()),
                          row.session_number() == 0 ? "detached" : Text(row.session_number()),
                          row.detail()});
  }
  return table;
}

Table MakeTable(const v1::ListSessionsResponse& response) {
  Table table{{{"number", true},
               {"kind"},
               {"pid", true},
               {"language"},
               {"transport"},
               {"tasks", true},
               {"references", true},
               {"connected"}},
              {}};
  for (const auto& row : response.sessions()) {
    table.rows.push_back({Text(row.number()), row.kind(), std::to_string(row.pid()), row.language(),
                          row.transport(), Text(row.tasks()), Text(row.references()),
                          FormatWallTime(row.connected_ms())});
  }
  return table;
}

Table MakeTable(const v1::ListJobsResponse& response) {
  Table table{{{"id"},
               {"name"},
               {"state"},
               {"exit code", true},
               {"pid", true},
               {"submitted"},
               {"time", true},
               {"command"}},
              {}};
  for (const auto& job : response.jobs()) {
    bool ended = job.ended_ms() != 0;
    table.rows.push_back({job.id(), job.name(), JobStateText(job.state()),
                          ended ? std::to_string(job.exit_code()) : "-",
                          OrNone(static_cast<uint64_t>(job.pid())),
                          FormatWallTime(job.submitted_ms()), JobTimeText(job),
                          ShellJoin({job.command().begin(), job.command().end()})});
  }
  return table;
}

template <typename Response>
int Print(Console& console, const Response& response, int shown, uint64_t total,
          const std::string& what) {
  if (console.json()) {
    console.Write(DumpJson(ToJson(response)));
    return console.Finish(kExitOk);
  }
  if (shown > 0) console.Write(MakeTable(response).ToString());
  if (shown == 0) console.Note("no " + what);
  if (static_cast<uint64_t>(shown) < total) {
    console.Note("showing " + std::to_string(shown) + " of " + std::to_string(total) +
                 "; more with --limit N, fewer with --filter COLUMN=VALUE");
  }
  return console.Finish(kExitOk);
}

// The head lists all jobs it remembers; the rest is done here.
int ListJobs(Console& console, HeadClient& head, const ListOptions& options) {
  auto filter = RowFilter::Parse(
      options.filters, {"id", "name", "state", "exit_code", "message", "pid", "num_cpus"});
  if (!filter.ok()) return console.Fail(filter.status());
  auto all = head.ListJobs();
  if (!all.ok()) return console.Fail(all.status());
  v1::ListJobsResponse chosen;
  uint64_t total = 0;
  for (const v1::Job& job : all->jobs()) {
    auto row = ToJson(job);
    row["state"] = JobStateText(job.state());  // as the table shows it
    if (!filter->Matches(row)) continue;
    if (total++ < options.limit) *chosen.add_jobs() = job;
  }
  int shown = chosen.jobs_size();
  return Print(console, chosen, shown, total, "jobs");
}

}  // namespace

int RunList(Console& console, const ListOptions& options) {
  Interrupt interrupt;
  auto connected = HeadClient::Connect(options.connection, &interrupt);
  if (!connected.ok()) return console.Fail(connected.status());
  HeadClient& head = **connected;
  if (options.what == "jobs") return ListJobs(console, head, options);

  v1::ListRequest request;
  for (const std::string& filter : options.filters) request.add_filters(filter);
  request.set_limit(options.limit);
  auto print = [&](const auto& response, const auto& rows) {
    if (!response.ok()) return console.Fail(response.status());
    return Print(console, response.value(), rows(response.value()).size(), response.value().total(),
                 options.what);
  };
  if (options.what == "tasks") {
    return print(
        head.ListTasks(request), [](const auto& r) -> auto& { return r.tasks(); });
  }
  if (options.what == "objects") {
    return print(
        head.ListObjects(request), [](const auto& r) -> auto& { return r.objects(); });
  }
  if (options.what == "workers") {
    return print(
        head.ListWorkers(request), [](const auto& r) -> auto& { return r.workers(); });
  }
  if (options.what == "actors") {
    return print(
        head.ListActors(request), [](const auto& r) -> auto& { return r.actors(); });
  }
  if (options.what == "placement-groups") {
    return print(
        head.ListPlacementGroups(request), [](const auto& r) -> auto& { return r.groups(); });
  }
  return print(
      head.ListSessions(request), [](const auto& r) -> auto& { return r.sessions(); });
}

}  // namespace kiln::cli
