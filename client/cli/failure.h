// A failed task as its user is told.
#pragma once

#include "client/cli/console.h"
#include "kiln/v1/object.pb.h"

namespace kiln::cli {

// Prints what happened in the task, and through which tasks it came here, to standard error.
// Returns: kExitFailed.
int FailTask(Console& console, const v1::TaskFailure& failure);

}  // namespace kiln::cli
