// The tables of docs/scheduling.md against those in the code.
#include <catch2/catch.hpp>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/core/actor_state.h"
#include "daemon/core/group_state.h"
#include "daemon/core/task_state.h"
#include "daemon/core/worker_state.h"

namespace kiln::core {
namespace {

std::string Trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(Trim(part));
  return parts;
}

// Rows of the first table under a heading, without its head.
std::vector<std::vector<std::string>> TableUnder(const std::string& heading) {
  std::ifstream file(std::string(KILN_SOURCE_DIR) + "/docs/scheduling.md");
  REQUIRE(file);
  std::vector<std::vector<std::string>> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line == heading) inside = true;
    if (!inside) continue;
    if (line.starts_with("|")) {
      rows.push_back(Split(line.substr(1), '|'));
    } else if (!rows.empty()) {
      break;
    }
  }
  REQUIRE(rows.size() > 2);
  rows.erase(rows.begin(), rows.begin() + 2);
  return rows;
}

// Checks the columns "state" and "to" of the documented table.
template <typename State, size_t kStates>
void CheckTable(const std::string& heading, const std::array<std::string_view, kStates>& names) {
  const auto rows = TableUnder(heading);
  REQUIRE(rows.size() == kStates);
  for (size_t from = 0; from < kStates; ++from) {
    INFO(heading << ", row " << from);
    REQUIRE(rows[from].size() == 4);
    CHECK(rows[from][0] == names[from]);
    std::set<std::string> expected;
    for (size_t to = 0; to < kStates; ++to) {
      if (MayMove(static_cast<State>(from), static_cast<State>(to))) {
        expected.insert(std::string(names[to]));
      }
    }
    std::set<std::string> documented;
    for (const std::string& name : Split(rows[from][3], ',')) {
      if (!name.empty()) documented.insert(name);
    }
    CHECK(documented == expected);
  }
}

TEST_CASE("the documented states of tasks are those in the code") {
  CheckTable<TaskState>("## Tasks", kTaskStateNames);
}

TEST_CASE("the documented states of actors are those in the code") {
  CheckTable<ActorState>("## Actors", kActorStateNames);
}

TEST_CASE("the documented states of placement groups are those in the code") {
  CheckTable<GroupState>("## Placement groups", kGroupStateNames);
}

TEST_CASE("the documented states of workers are those in the code") {
  CheckTable<WorkerState>("## Workers", kWorkerStateNames);
}

}  // namespace
}  // namespace kiln::core
