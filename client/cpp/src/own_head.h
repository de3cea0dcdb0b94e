// A head of this program's own: started when none is running, ends with the program.
//
// The head holds the read end of a pipe whose write end is here, so it ends when this process does,
// in whatever way.
//
// Thread: any.
// Owner:  the runtime of the session it was started for.
#pragma once

#include <unistd.h>

#include <memory>
#include <string>

#include "common/session_dir.h"
#include "common/status.h"
#include "kiln/options.h"

namespace kiln {

// A program of kiln's: beside libkiln (lib/ and bin/ are siblings), else from PATH.
// Errors: NotFound.
Result<std::string> FindBinary(const std::string& name);

class OwnHead {
 public:
  // Blocks: until the head can serve.
  // Errors: NotFound (no kiln-head beside libkiln nor in PATH), or the head's own.
  static Result<std::shared_ptr<OwnHead>> Start(const ConnectOptions& options);
  // Ends the head. Blocks: until it has ended.
  ~OwnHead();
  OwnHead(const OwnHead&) = delete;
  OwnHead& operator=(const OwnHead&) = delete;

  const HeadInfo& info() const { return info_; }

 private:
  OwnHead(HeadInfo info, int lifeline_fd, int process_fd);

  const HeadInfo info_;
  const int lifeline_fd_;
  const int process_fd_;  // pidfd
  const pid_t owner_ = getpid();
};

}  // namespace kiln
