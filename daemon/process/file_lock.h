// The lock on a session directory, as head and keeper take it.
//
// Thread: any; plain functions.
#pragma once

#include <string>

namespace kiln::process {

// Takes the write lock of an open file description: it is held until the last descriptor of it is
// closed, and says nothing to others who open the file. Returns: false if another holds it.
bool TryLock(int fd);

// True if `path` still names the file that `fd` has open: a lock on a file that was removed and
// made anew meanwhile protects nothing.
bool IsSameFile(int fd, const std::string& path);

}  // namespace kiln::process
