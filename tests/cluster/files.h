// Files by which tasks and tests tell each other that something has happened.
//
// Thread: any; each call is one system call on its own descriptor.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "kiln/task.h"
#include "tests/cluster/processes.h"
#include "tests/unit/wait_until.h"

namespace kiln::testing {

inline void Append(const std::string& path, const std::string& text) {
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  (void)!write(fd, text.data(), text.size());
  close(fd);
}

// Bytes in the file; 0 if it is not there.
inline size_t SizeOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? static_cast<size_t>(info.st_size) : 0;
}

inline bool Exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

inline bool AwaitFile(const std::string& path) {
  return WaitUntil([&] { return Exists(path); }, kDeadline);
}

}  // namespace kiln::testing
