#include "daemon/process/output_lines.h"

#include <utility>

#include "common/limits.h"
#include "common/utf8.h"

namespace kiln::process {
std::vector<std::string> OutputLines::Feed(std::string_view bytes) {
  std::vector<std::string> lines;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    partial_ += part.substr(0, kLineBytes - partial_.size());
    if (end == bytes.npos) break;
    Take(&lines);
    bytes.remove_prefix(end + 1);
  }
  return lines;
}

std::vector<std::string> OutputLines::Finish() {
  std::vector<std::string> lines;
  if (!partial_.empty()) Take(&lines);
  return lines;
}

void OutputLines::Take(std::vector<std::string>* lines) {
  if (!partial_.empty() && partial_.back() == '\r') partial_.pop_back();
  lines->push_back(CleanText(partial_, kLineBytes));
  partial_.clear();
  const std::string& line = lines->back();
  if (line.empty()) return;
  const bool is_short = line.size() <= limits::kCrashLineBytes;
  last_.push_back(is_short ? line : CleanText(line, limits::kCrashLineBytes));
  if (last_.size() > limits::kCrashLines) last_.pop_front();
}

std::vector<std::string> OutputLines::Last() const {
  std::vector<std::string> last(last_.begin(), last_.end());
  if (!partial_.empty()) {
    last.push_back(CleanText(partial_, limits::kCrashLineBytes));
    if (last.size() > limits::kCrashLines) last.erase(last.begin());
  }
  return last;
}

}  // namespace kiln::process
