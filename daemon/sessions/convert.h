// Task classes between the wire and the core.
//
// Thread: any; plain functions.
#pragma once

#include <functional>
#include <string>

#include "common/status.h"
#include "daemon/core/task.h"
#include "kiln/v1/task.pb.h"

namespace kiln::sessions {

// Fills in the defaults. `program` runs it when it names no library; `python_host` knows the
// program for a directory of Python modules, and is asked only if all is well. Errors:
// InvalidArgument (a number that is not finite, a library that is no absolute path, no
//         function).
Result<core::TaskClass> FromProto(
    const v1::TaskClass& in, core::ProgramId program,
    const std::function<core::ProgramId(const std::string& root)>& python_host);
// Errors: InvalidArgument (a number that is not finite, or negative).
Result<core::Resources> FromProto(const v1::Resources& in);
void ToProto(const core::TaskClass& in, core::ClassId id, v1::TaskClass* out);
void ToProto(const core::Resources& in, v1::Resources* out);

}  // namespace kiln::sessions
