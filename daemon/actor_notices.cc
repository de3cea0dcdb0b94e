#include "daemon/actor_notices.h"

#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "common/limits.h"
#include "daemon/core/actor_state.h"

namespace kiln {
namespace {

std::string Label(const core::ActorRow& row) {
  return row.class_name + (row.name.empty() ? "" : " (" + row.name + ")");
}

}  // namespace

void ActorNotices::AfterTurn() {
  if (timer_ != 0 || !core_->AnyActorStarts()) return;
  timer_ = loop_->At(Clock::now() + limits::kActorNotices, [this] { Look(); });
}

void ActorNotices::Look() {
  timer_ = 0;
  std::map<SessionNumber, Driver> before = std::exchange(drivers_, {});
  std::map<SessionNumber, core::ActorRow> longest;  // that waits, of each driver
  std::map<SessionNumber, std::vector<std::string>> lines;
  for (core::ActorRow& row : core_->ListActors()) {  // newest first
    Driver& driver = drivers_[row.root];
    const bool pending = row.state == core::Name(core::ActorState::kPending);
    const bool restarts = row.state == core::Name(core::ActorState::kRestarting);
    if ((pending || restarts) && row.restarts > 1) {
      driver.restarts[row.id] = row.restarts;
      if (before[row.root].restarts[row.id] == row.restarts) continue;
      lines[row.root].push_back("actor " + Label(row) + " has died " +
                                std::to_string(row.restarts) +
                                " times and is started anew; last, its " + row.last_end);
    } else if (pending && row.pid == 0) {
      ++driver.waiting;
      longest[row.root] = std::move(row);
    }
  }
  for (const auto& [root, row] : longest) {
    Driver& driver = drivers_[root];
    driver.longest = row.id;
    if (before[root].longest != row.id) continue;
    driver.told = true;
    if (before[root].told) continue;
    lines[root].push_back(
        (driver.waiting == 1 ? "actor " : std::to_string(driver.waiting) + " actors wait, as ") +
        Label(row) + " " + row.detail +
        "; `kiln list actors` and `kiln list tasks` show who holds what");
  }
  for (auto& [root, said] : lines) {
    if (sessions::Session* driver = sessions_->Find(root)) {
      driver->SendLogLines("kiln", getpid(), std::move(said));
    }
  }
}

}  // namespace kiln
