#include "daemon/process/output_lines.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "common/limits.h"

namespace kiln::process {
namespace {

// Returns: bytes of the UTF-8 character that `text` begins with; 0 if it is none (a stray byte, an
// overlong form, a surrogate, beyond U+10FFFF, or cut off).
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const uint8_t second = byte(1);
  const bool wrong = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                     (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return wrong ? 0 : size;
}

}  // namespace

std::string CleanText(std::string_view text, size_t most) {
  std::string clean;
  size_t good = 0;  // bytes at the start of `text` that are whole characters
  while (good < text.size()) {
    const size_t size = CharacterBytes(text.substr(good));
    if (clean.size() + good + std::max<size_t>(size, 1) > most) break;
    good += size;
    if (size > 0) continue;
    clean.append(text.substr(0, good)) += '?';
    text.remove_prefix(good + 1);
    good = 0;
  }
  return clean.append(text.substr(0, good));
}

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
