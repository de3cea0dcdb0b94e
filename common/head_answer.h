// What a starting head says to whoever started it: one line of JSON on the answer descriptor.
//
//   {"ready": HeadInfo}   or   {"error": {"code": 7, "message": "..."}}
//
// Thread: any; plain functions.
#pragma once

#include <string>

#include "common/session_dir.h"
#include "common/status.h"

namespace kiln {

// With the end of line.
std::string FormatAnswer(const HeadInfo& info);
std::string FormatAnswer(const Status& error);

// Returns: what the head that can serve says of itself.
// Errors:  the head's own; Internal (`line` is neither: the head died before it answered).
Result<HeadInfo> ParseAnswer(const std::string& line);

// Blocks: until a line is there, or the other end is closed. Errors: as ParseAnswer.
Result<HeadInfo> ReadAnswer(int fd);

}  // namespace kiln
