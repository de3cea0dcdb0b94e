#include "client/cli/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "client/cli/console.h"

namespace kiln::cli {

OutputFile::OutputFile(std::string path) : path_(std::move(path)), partial_(path_) {
  struct stat info;
  bool regular = stat(path_.c_str(), &info) != 0 || S_ISREG(info.st_mode);
  if (regular) partial_ += ".partial-" + std::to_string(getpid());
  fd_ = open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) Fail(errno);
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  close(fd_);
  if (partial_ != path_) unlink(partial_.c_str());
}

void OutputFile::Fail(int error) {
  bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  status_ = {full ? Code::kResourceExhausted : Code::kPermissionDenied,
             "cannot write " + path_ + ": " + std::strerror(error)};
}

bool OutputFile::Write(std::string_view data) {
  if (!status_.ok()) return false;
  int error = WriteFully(fd_, data);
  if (error != 0) Fail(error);
  size_bytes_ += data.size();
  return error == 0;
}

Status OutputFile::Complete() {
  if (!status_.ok()) return status_;
  // close tells of delayed write errors.
  int fd = std::exchange(fd_, -1);
  if (close(fd) != 0 || (partial_ != path_ && std::rename(partial_.c_str(), path_.c_str()) != 0)) {
    Fail(errno);
    if (partial_ != path_) unlink(partial_.c_str());
  }
  return status_;
}

}  // namespace kiln::cli
