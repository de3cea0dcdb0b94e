#include "daemon/services/actor_row.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "common/nearest.h"
#include "daemon/core/actor_state.h"
#include "daemon/sessions/convert.h"

namespace kiln::services {
namespace {

constexpr const char* kShowAll = "; `kiln list actors` shows those there are";

bool IsDead(const core::ActorRow& row) {
  return row.state == core::Name(core::ActorState::kDead);
}

std::string Place(const std::string& name_space) {
  return name_space.empty() ? "without a namespace" : "in namespace " + name_space;
}

Result<core::ActorRow> FindById(const core::Core& core, const std::string& text) {
  const std::optional<ActorId> id = ParseRef(text);
  if (!id) {
    return Status(Code::kInvalidArgument,
                  "\"" + text + "\" is no id of an actor; an id has 16 hexadecimal digits");
  }
  for (core::ActorRow& row : core.ListActors()) {
    if (row.id == *id) return std::move(row);
  }
  return Status(Code::kNotFound, "no actor has the id " + text + kShowAll);
}

// What a name that no living actor has may have been meant to be.
std::string Hint(const std::vector<core::ActorRow>& rows, const v1::ActorName& name) {
  std::vector<std::string> others;
  for (const core::ActorRow& row : rows) {  // newest first
    if (row.name != name.name()) {
      if (!IsDead(row) && row.name_space == name.namespace_() && !row.name.empty()) {
        others.push_back(row.name);
      }
    } else if (row.name_space == name.namespace_()) {
      return "; the last one of that name is dead: " + row.detail;
    } else if (!IsDead(row)) {
      return "; there is one " + Place(row.name_space);
    }
  }
  const std::string nearest = Nearest(name.name(), others);
  return nearest.empty() ? kShowAll : "; did you mean " + nearest + "?";
}

}  // namespace

void ToProto(const core::ActorRow& row, v1::ActorInfo* out) {
  out->set_id(FormatRef(row.id));
  out->set_class_name(row.class_name);
  out->set_state(row.state);
  out->set_name(row.name);
  out->set_namespace_(row.name_space);
  out->set_pid(row.pid);
  out->set_detached(row.root == kHeadSession);
  out->set_restarts(row.restarts);
  out->set_max_restarts(row.max_restarts);
  out->set_pending_calls(row.pending_calls);
  out->set_finished_calls(row.finished_calls);
  out->set_references(row.references);
  out->set_session_number(row.root);
  out->set_detail(row.detail);
  out->set_repr(row.repr);
  sessions::ToProto(row.held, out->mutable_held());
}

Result<core::ActorRow> FindActor(const core::Core& core, const v1::ActorName& name) {
  if (!name.id().empty()) return FindById(core, name.id());
  if (name.name().empty()) {
    return Status(Code::kInvalidArgument, "which actor is meant? Give its id or its name");
  }
  std::vector<core::ActorRow> rows = core.ListActors();
  if (const std::optional<ActorId> id = core.FindActor(name.namespace_(), name.name())) {
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const core::ActorRow& r) { return r.id == *id; });
    if (row != rows.end()) return std::move(*row);
  }
  const std::string place = name.namespace_().empty() ? "" : " " + Place(name.namespace_());
  return Status(Code::kNotFound,
                "there is no actor named " + name.name() + place + Hint(rows, name));
}

}  // namespace kiln::services
