#include "daemon/process/rotated_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "common/log.h"
#include "daemon/process/unique_fd.h"

namespace kiln::process {

RotatedFile::RotatedFile(std::string path, size_t file_bytes, size_t files)
    : path_(std::move(path)), file_bytes_(file_bytes), files_(files), starts_{0} {
  Remove();
  Open();
}

RotatedFile::~RotatedFile() {
  Finish();
}

void RotatedFile::Open() {
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd_ < 0) Lose(0, errno);
}

void RotatedFile::Finish() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

void RotatedFile::Remove() {
  for (size_t age = 0; age < files_; ++age) unlink(Name(age).c_str());
}

std::string RotatedFile::Name(size_t age) const {
  return age == 0 ? path_ : path_ + "." + std::to_string(age);
}

void RotatedFile::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    if (fd_ >= 0 && end_ - starts_.back() >= file_bytes_) Rotate();
    if (fd_ < 0) return Lose(bytes.size(), 0);
    const size_t room = file_bytes_ - static_cast<size_t>(end_ - starts_.back());
    const ssize_t count = write(fd_, bytes.data(), std::min(room, bytes.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Lose(bytes.size(), errno);
    end_ += static_cast<uint64_t>(count);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void RotatedFile::Rotate() {
  Finish();
  for (size_t age = files_ - 1; age > 0; --age) {
    std::rename(Name(age - 1).c_str(), Name(age).c_str());
  }
  starts_.push_back(end_);
  if (starts_.size() > files_) starts_.pop_front();
  Open();
}

void RotatedFile::Lose(size_t bytes, int error) {
  if (error != 0 && lost_ == 0) {
    log::Warning("event=output_lost path={} reason=\"{}\"", path_, std::strerror(error));
  }
  lost_ += bytes;
}

std::string RotatedFile::Read(uint64_t* offset, size_t most) const {
  *offset = std::clamp(*offset, starts_.front(), end_);
  std::string bytes;
  for (size_t i = 0; i < starts_.size() && bytes.size() < most; ++i) {
    const uint64_t at = *offset + bytes.size();
    const uint64_t file_end = i + 1 < starts_.size() ? starts_[i + 1] : end_;
    if (at >= file_end) continue;
    const UniqueFd fd(open(Name(starts_.size() - 1 - i).c_str(), O_RDONLY | O_CLOEXEC));
    const size_t wanted = std::min<uint64_t>(most - bytes.size(), file_end - at);
    const size_t had = bytes.size();
    bytes.resize(had + wanted);
    const ssize_t count = fd.valid() ? pread(fd.get(), bytes.data() + had, wanted,
                                             static_cast<off_t>(at - starts_[i]))
                                     : -1;
    if (count == static_cast<ssize_t>(wanted)) continue;
    // Somebody removed or cut the file: what is missing counts as rotated away.
    bytes.resize(had + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (!bytes.empty()) break;
    *offset = file_end;
  }
  return bytes;
}

}  // namespace kiln::process
