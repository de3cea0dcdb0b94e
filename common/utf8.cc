#include "common/utf8.h"

#include <algorithm>
#include <cstdint>

namespace kiln {
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

}  // namespace kiln
