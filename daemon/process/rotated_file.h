// One log of raw bytes on disk, bounded: the newest in `path`, older ones in `path`.1, `path`.2.
//
// Every byte has an offset, counted from the first one ever appended, so that a reader can follow
// the log over rotations and learns how much it missed.
//
// Thread: head loop only.
// Owner:  OutputLog.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "common/limits.h"
#include "common/status.h"

namespace kiln::process {

class RotatedFile {
 public:
  // Begins an empty log; files of that name are removed. Appending to a file that could not be made
  // counts as bytes lost.
  explicit RotatedFile(std::string path, size_t file_bytes = limits::kLogFileBytes,
                       size_t files = limits::kLogFiles);
  ~RotatedFile();
  RotatedFile(RotatedFile&& other) noexcept;
  RotatedFile& operator=(RotatedFile&&) = delete;

  // Appends exactly these bytes. What the disk does not take is lost: counted, and logged once.
  void Append(std::string_view bytes);
  // Nothing will be appended any more; the descriptor is closed, the files stay.
  void Finish();
  // Removes the files.
  void Remove();

  // Returns: at most `most` bytes from `offset` on, empty at the end. `*offset` is moved forward to
  // the first byte that is still there.
  std::string Read(uint64_t* offset, size_t most) const;

  const std::string& path() const { return path_; }
  // One past the last byte.
  uint64_t end_offset() const { return end_; }
  uint64_t lost_bytes() const { return lost_; }

 private:
  void Open();
  void Rotate();
  std::string Name(size_t age) const;  // 0: the newest
  void Lose(size_t bytes, int error);

  std::string path_;
  size_t file_bytes_;
  size_t files_;
  int fd_ = -1;
  std::deque<uint64_t> starts_;  // first offset of each file, oldest first, never empty
  uint64_t end_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace kiln::process
