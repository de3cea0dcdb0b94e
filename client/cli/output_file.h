// Where `-o FILE` goes: the file appears when it is complete, or not at all.
//
// Thread: one.
// Owner:  a command.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"

namespace kiln::cli {

class OutputFile {
 public:
  explicit OutputFile(std::string path);
  // Removes what is not complete.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Returns: false once it cannot be written; status() says why.
  bool Write(std::string_view data);
  // Gives the file its name. Errors: as status().
  Status Complete();
  // Errors: PermissionDenied or ResourceExhausted (disk full), naming the path.
  Status status() const { return status_; }
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  void Fail(int error);

  std::string path_;
  std::string partial_;  // written first; the path itself for a device or a pipe
  int fd_ = -1;
  uint64_t size_bytes_ = 0;
  Status status_;
};

}  // namespace kiln::cli
