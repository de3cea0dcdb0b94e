// An actor as clients without a session find and see it.
//
// Thread: head loop only.
#pragma once

#include "common/status.h"
#include "daemon/core/core.h"
#include "kiln/v1/actor.pb.h"

namespace kiln::services {

// All but memory_bytes, which is not the core's to know.
void ToProto(const core::ActorRow& row, v1::ActorInfo* out);

// Returns: the actor that is meant; of an id also one of the last dead.
// Errors:  NotFound (says what is nearest: the last one of that name, its namespace, another name),
//          InvalidArgument (neither id nor name, or an id that is none).
Result<core::ActorRow> FindActor(const core::Core& core, const v1::ActorName& name);

}  // namespace kiln::services
