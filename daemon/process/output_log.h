// What one process writes: read from its pipe, kept in a bounded log file, passed on.
//
//   OutputLog log(loop, path, {.grown = ..., .lines = ...});
//   log.Attach(output_fd)          Keeper::started
//   log.Drain()                    Keeper::exited: everything is in the file now
//
// Thread: head loop only.
// Owner:  JobRunner, WorkerLauncher.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/event_loop.h"
#include "daemon/process/output_lines.h"
#include "daemon/process/rotated_file.h"

namespace kiln::process {

// Bytes read from one pipe in one turn of the loop: what a pipe holds, so that one read empties it.
inline constexpr size_t kReadBytes = 64 * 1024;

class OutputLog {
 public:
  // Called from the loop, or from Drain. They may read the log, not destroy it.
  struct Callbacks {
    std::function<void()> grown;                          // there is more in the file
    std::function<void(std::vector<std::string>)> lines;  // complete lines; empty: not cut at all
  };

  // Begins an empty log at `path`.
  OutputLog(EventLoop* loop, std::string path, Callbacks callbacks);
  ~OutputLog();
  OutputLog(const OutputLog&) = delete;
  OutputLog& operator=(const OutputLog&) = delete;

  // Takes `fd`, a non-blocking pipe, and reads it until its end.
  // Requires: nothing was attached before.
  void Attach(int fd);
  // Reads what has been written by now, without waiting for the loop to say so.
  void ReadNow();
  // What was written belongs together: a last line without an end is passed on as one.
  void EndLine();
  // The process has ended: reads what is left, passes on an unfinished last line, lets the pipe and
  // the file go.
  void Drain();

  // As RotatedFile::Read: for followers, who come with an offset of their own and so lose nothing
  // and get nothing twice, at their own speed.
  std::string Read(uint64_t* offset, size_t most) const { return file_.Read(offset, most); }
  uint64_t end_offset() const { return file_.end_offset(); }
  const std::string& path() const { return file_.path(); }
  // For crash reports; see OutputLines::Last. Kept only if there is a `lines` callback.
  std::vector<std::string> LastLines() const { return lines_.Last(); }
  // Removes the files.
  void Remove() { file_.Remove(); }

 private:
  // Returns: false once there is nothing more to read for now.
  bool ReadSome();
  void TellLines(std::vector<std::string> lines);
  void Detach();

  EventLoop* loop_;
  Callbacks callbacks_;
  RotatedFile file_;
  OutputLines lines_;
  int fd_ = -1;
};

// Returns: `reason`, and if there are any, the lines behind it: "...; last output:\n  line".
std::string WithLastOutput(std::string reason, const std::vector<std::string>& lines);

// Removes the logs "<prefix>*.log*" in `dir`, which an earlier head left: names begin anew with
// each head.
void RemoveLogs(const std::string& dir, const std::string& prefix);

}  // namespace kiln::process
