// Tasks and calls of clients without a session: their arguments are JSON, their results the head's.
//
// Thread: head loop only.
#pragma once

#include <string>

#include "common/ids.h"
#include "common/status.h"
#include "daemon/core/task.h"
#include "daemon/services/context.h"

namespace kiln::services {

struct JsonTask {
  core::ClassId task_class = 0;
  const google::protobuf::RepeatedPtrField<std::string>& json_args;  // one text per argument
  int64_t ttl_ms = 0;  // of the results; 0: until they are released
  ActorId actor = 0;   // with a class that is a method
};

// Queues it in the head's session, which holds a reference on each result. An argument {"$ref": ..}
// passes the object's value; refs inside of arguments are kept alive.
// Returns: its id.
// Errors:  InvalidArgument (an argument is no JSON, or an actor; says which), NotFound (an unknown
// ref),
//          ResourceExhausted (the queue is full), Unavailable (the head is stopping).
Result<TaskId> SubmitJson(const Context& context, const JsonTask& task);

}  // namespace kiln::services
