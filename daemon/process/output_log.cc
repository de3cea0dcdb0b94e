#include "daemon/process/output_log.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace kiln::process {
namespace {

// Reads of one Drain: far more than a pipe can hold, so that only a writer that should not be there
// is cut off.
constexpr int kDrainReads = 256;

}  // namespace

OutputLog::OutputLog(EventLoop* loop, std::string path, Callbacks callbacks)
    : loop_(loop), callbacks_(std::move(callbacks)), file_(std::move(path)) {}

OutputLog::~OutputLog() {
  Detach();
}

void OutputLog::Attach(int fd) {
  fd_ = fd;
  loop_->Watch(fd, [this] { ReadSome(); });
}

void OutputLog::Detach() {
  if (fd_ < 0) return;
  loop_->Unwatch(fd_);
  close(std::exchange(fd_, -1));
}

bool OutputLog::ReadSome() {
  std::array<char, kReadBytes> buffer;
  const ssize_t count = read(fd_, buffer.data(), buffer.size());
  if (count < 0 && errno == EINTR) return true;
  if (count < 0 && errno == EAGAIN) return false;
  if (count <= 0) {
    Detach();
    return false;
  }
  const std::string_view bytes(buffer.data(), static_cast<size_t>(count));
  file_.Append(bytes);
  if (callbacks_.lines) TellLines(lines_.Feed(bytes));
  if (callbacks_.grown) callbacks_.grown();
  return true;
}

void OutputLog::TellLines(std::vector<std::string> lines) {
  if (!lines.empty() && callbacks_.lines) callbacks_.lines(std::move(lines));
}

void OutputLog::ReadNow() {
  for (int i = 0; fd_ >= 0 && i < kDrainReads && ReadSome(); ++i) {
  }
}

void OutputLog::EndLine() {
  TellLines(lines_.Finish());
}

void OutputLog::Drain() {
  ReadNow();
  Detach();
  TellLines(lines_.Finish());
  file_.Finish();
}

std::string WithLastOutput(std::string reason, const std::vector<std::string>& lines) {
  if (lines.empty()) return reason;
  reason += "; last output:";
  for (const std::string& line : lines) reason += "\n  " + line;
  return reason;
}

void RemoveLogs(const std::string& dir, const std::string& prefix) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || name.find(".log", prefix.size()) == name.npos) continue;
    std::error_code ignored;
    std::filesystem::remove(entry.path(), ignored);
  }
}

}  // namespace kiln::process
