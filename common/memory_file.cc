#include "common/memory_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kiln {

void MemoryFileWriter::Number(uint64_t number) {
  bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void MemoryFileWriter::Text(const std::string& text) {
  Number(text.size());
  bytes_ += text;
}

void MemoryFileWriter::List(const std::vector<std::string>& list) {
  Number(list.size());
  for (const std::string& text : list) Text(text);
}

int MemoryFileWriter::Make(const char* name) const {
  const int fd = memfd_create(name, MFD_CLOEXEC);
  for (size_t done = 0; fd >= 0 && done < bytes_.size();) {
    const ssize_t count = write(fd, bytes_.data() + done, bytes_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      close(fd);
      errno = error;
      return -1;
    }
    done += static_cast<size_t>(count);
  }
  return fd;
}

MemoryFileReader::MemoryFileReader(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return;
  bytes_.resize(static_cast<size_t>(info.st_size));
  size_t done = 0;
  while (done < bytes_.size()) {
    const ssize_t count =
        pread(fd, bytes_.data() + done, bytes_.size() - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    done += static_cast<size_t>(count);
  }
  good_ = true;
}

uint64_t MemoryFileReader::Number() {
  uint64_t number = 0;
  if (!Has(sizeof number)) return 0;
  std::memcpy(&number, bytes_.data() + at_, sizeof number);
  at_ += sizeof number;
  return number;
}

std::string MemoryFileReader::Text() {
  const uint64_t size = Number();
  if (!Has(size)) return "";
  at_ += size;
  return bytes_.substr(at_ - size, size);
}

std::vector<std::string> MemoryFileReader::List() {
  std::vector<std::string> list;
  for (uint64_t count = Number(); good_ && count > 0; --count) list.push_back(Text());
  return list;
}

bool MemoryFileReader::Has(uint64_t size) {
  good_ = good_ && size <= bytes_.size() - at_;
  return good_;
}

}  // namespace kiln
