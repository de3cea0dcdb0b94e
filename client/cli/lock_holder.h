// Who holds a session directory, found without asking it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace kiln::cli {

// The process that is the head of `session_dir`: it is named in the lock file, runs kiln-head and
// has that very file open, whose lock is held. All of it is checked, so that a stale file never
// points at a stranger. Returns: nothing if there is none.
std::optional<pid_t> FindLockHolder(const std::string& session_dir);

}  // namespace kiln::cli
