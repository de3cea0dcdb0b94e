#include "daemon/services/actor_row.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "daemon/sessions/convert.h"

namespace kiln::services {
namespace {

constexpr const char* kShowAll = "; `kiln list actors` shows those there are";

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
  return Status(Code::kNotFound, core.DescribeMissingActor(name.namespace_(), name.name()));
}

}  // namespace kiln::services
