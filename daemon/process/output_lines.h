// Cuts a stream of bytes into lines for people: bounded, and valid UTF-8.
//
// Thread: plain data.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::process {

// Bytes of a line that is passed on; the rest of it is dropped here (the log file has all).
inline constexpr size_t kLineBytes = 16 * 1024;

class OutputLines {
 public:
  // Returns: the lines that are complete now, without their ends; bytes that are no UTF-8 as "?".
  std::vector<std::string> Feed(std::string_view bytes);
  // The stream has ended, or a part of it. Returns: the last line if it had no end.
  std::vector<std::string> Finish();
  // The last limits::kCrashLines lines that are not empty, each cut to limits::kCrashLineBytes,
  // oldest first; one that has no end yet included.
  std::vector<std::string> Last() const;

 private:
  void Take(std::vector<std::string>* lines);

  std::string partial_;  // at most kLineBytes
  std::deque<std::string> last_;
};

}  // namespace kiln::process
