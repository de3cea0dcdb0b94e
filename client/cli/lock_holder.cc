#include "client/cli/lock_holder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "common/session_dir.h"

namespace kiln::cli {
namespace {

namespace fs = std::filesystem;

bool HasOpen(pid_t pid, const struct stat& file) {
  std::error_code error;
  fs::directory_iterator entries("/proc/" + std::to_string(pid) + "/fd", error);
  for (fs::directory_iterator end; !error && entries != end; entries.increment(error)) {
    struct stat open_file;
    if (stat(entries->path().c_str(), &open_file) == 0 && open_file.st_ino == file.st_ino &&
        open_file.st_dev == file.st_dev) {
      return true;
    }
  }
  return false;
}

// A running program that was rebuilt shows as "kiln-head (deleted)".
bool IsHeadProgram(pid_t pid) {
  std::error_code error;
  fs::path program = fs::read_symlink("/proc/" + std::to_string(pid) + "/exe", error);
  std::string name = program.filename().string();
  const char* chosen = std::getenv("KILN_HEAD_BINARY");
  return name.rfind("kiln-head", 0) == 0 || (chosen && fs::equivalent(program, chosen, error));
}

}  // namespace

std::optional<pid_t> FindLockHolder(const std::string& session_dir) {
  const std::string lock = SessionPaths(session_dir).lock;
  int fd = open(lock.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  char text[32] = {};
  ssize_t n = read(fd, text, sizeof text - 1);
  struct stat file = {};
  bool held = fstat(fd, &file) == 0 && IsLocked(lock);
  close(fd);
  pid_t pid = n > 0 ? static_cast<pid_t>(std::atoi(text)) : 0;
  if (!held || pid <= 1 || !IsHeadProgram(pid) || !HasOpen(pid, file)) return std::nullopt;
  return pid;
}

}  // namespace kiln::cli
