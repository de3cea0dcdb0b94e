#include "common/value/value.h"

#include <cstring>

#include "common/large_copy.h"

namespace kiln::value {
namespace {

constexpr size_t AlignUp(size_t offset) {
  return (offset + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
}

size_t EndOfBody(size_t body_bytes, size_t buffer_count) {
  return sizeof(ValueHeader) + buffer_count * sizeof(BufferEntry) + body_bytes;
}

// The buffer table that `parts` will have, and where the value ends.
std::vector<BufferEntry> LayOut(const Parts& parts, size_t* total_bytes) {
  size_t end = EndOfBody(parts.BodyBytes(), parts.buffers.size());
  std::vector<BufferEntry> table;
  table.reserve(parts.buffers.size());
  for (const auto& buffer : parts.buffers) {
    size_t offset = AlignUp(end);
    table.push_back({offset, buffer.size()});
    end = offset + buffer.size();
  }
  *total_bytes = end;
  return table;
}

Status Broken(const char* what) {
  return {Code::kDataLoss, std::string("not a kiln value: ") + what};
}

// True if [offset, offset + size) lies inside `total`; safe for any numbers.
bool Inside(uint64_t offset, uint64_t size, uint64_t total) {
  return offset <= total && size <= total - offset;
}

}  // namespace

size_t Parts::SizeBytes() const {
  size_t total = 0;
  LayOut(*this, &total);
  return total;
}

void Parts::WriteTo(std::byte* out) const {
  ValueHeader header;
  std::vector<BufferEntry> table = LayOut(*this, &header.total_bytes);
  header.kind = kind;
  header.body_bytes = BodyBytes();
  header.buffer_count = static_cast<uint32_t>(buffers.size());
  std::memcpy(out, &header, sizeof header);
  size_t end = sizeof header;
  if (!table.empty()) std::memcpy(out + end, table.data(), table.size() * sizeof(BufferEntry));
  end += table.size() * sizeof(BufferEntry);
  Copy(out + end, body.data(), body.size());
  end += body.size();
  if (!body_rest.empty()) Copy(out + end, body_rest.data(), body_rest.size());
  end += body_rest.size();
  for (size_t i = 0; i < buffers.size(); ++i) {
    // Padding is written too: the room may hold what another object left there.
    std::memset(out + end, 0, table[i].offset_bytes - end);
    std::byte* place = out + table[i].offset_bytes;
    if (!buffers[i].empty() && buffers[i].data() != place) {
      Copy(place, buffers[i].data(), buffers[i].size());
    }
    end = table[i].offset_bytes + table[i].size_bytes;
  }
}

std::string Parts::ToString() const {
  std::string bytes(SizeBytes(), '\0');
  WriteTo(reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

SharedBytes Parts::ToBytes() const {
  std::byte* room;
  SharedBytes bytes = MakeBytes(SizeBytes(), &room);
  WriteTo(room);
  return bytes;
}

SharedBytes MakeBytes(size_t size_bytes, std::byte** room) {
  struct alignas(16) Unit {
    std::byte bytes[16];
  };
  // One allocation for the bytes and their count of owners.
  auto units = std::make_shared_for_overwrite<Unit[]>(size_bytes / sizeof(Unit) + 1);
  *room = units[0].bytes;
  const std::byte* data = *room;
  return {std::move(units), data, size_bytes};
}

SharedBytes CopyBytes(std::string_view bytes) {
  std::byte* room;
  SharedBytes copy = MakeBytes(bytes.size(), &room);
  if (!bytes.empty()) std::memcpy(room, bytes.data(), bytes.size());
  return copy;
}

size_t FirstBufferOffset(size_t body_bytes) {
  return AlignUp(EndOfBody(body_bytes, 1));
}

Result<View> ParseValue(std::string_view bytes) {
  ValueHeader header;
  if (bytes.size() < sizeof header) return Broken("shorter than its header");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kMagic) return Broken("wrong magic number");
  if (header.version != kVersion) return Broken("unknown version");
  if (header.kind > Kind::kError) return Broken("unknown kind");
  if (header.total_bytes != bytes.size()) return Broken("its length is not what its header says");

  uint64_t rest = bytes.size() - sizeof header;
  if (header.buffer_count > rest / sizeof(BufferEntry)) return Broken("buffer table out of bounds");
  uint64_t body_offset = EndOfBody(0, header.buffer_count);
  if (!Inside(body_offset, header.body_bytes, bytes.size())) return Broken("body out of bounds");

  View view;
  view.kind = header.kind;
  view.body = bytes.substr(body_offset, header.body_bytes);
  view.buffers.reserve(header.buffer_count);
  uint64_t end = body_offset + header.body_bytes;
  for (uint32_t i = 0; i < header.buffer_count; ++i) {
    BufferEntry entry;
    std::memcpy(&entry, bytes.data() + sizeof header + i * sizeof entry, sizeof entry);
    if (!Inside(entry.offset_bytes, entry.size_bytes, bytes.size()) || entry.offset_bytes < end) {
      return Broken("buffer out of bounds");
    }
    if (entry.offset_bytes % kBufferAlignment != 0) return Broken("buffer not aligned");
    view.buffers.emplace_back(reinterpret_cast<const std::byte*>(bytes.data()) + entry.offset_bytes,
                              entry.size_bytes);
    end = entry.offset_bytes + entry.size_bytes;
  }
  return view;
}

}  // namespace kiln::value
