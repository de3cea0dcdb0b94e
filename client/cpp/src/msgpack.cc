#include "kiln/detail/msgpack.h"

#include <bit>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "kiln/ref.h"

namespace kiln::detail {
namespace {

// First bytes, as the specification names them.
enum : uint8_t {
  kFixMap = 0x80,
  kFixArray = 0x90,
  kFixStr = 0xa0,
  kNil = 0xc0,
  kFalse = 0xc2,
  kTrue = 0xc3,
  kBin8 = 0xc4,
  kExt8 = 0xc7,
  kFloat32 = 0xca,
  kFloat64 = 0xcb,
  kUint8 = 0xcc,
  kInt8 = 0xd0,
  kFixExt1 = 0xd4,
  kFixExt8 = 0xd7,
  kFixExt16 = 0xd8,
  kStr8 = 0xd9,
  kArray16 = 0xdc,
  kArray32 = 0xdd,
  kMap16 = 0xde,
  kMap32 = 0xdf,
  kNegativeFixInt = 0xe0,
};

constexpr char kRefExtension = 1;    // value::kRefExtension
constexpr char kTupleExtension = 2;  // value::kTupleExtension
constexpr int kMaxDepth = 1'000;     // of structs that contain themselves
constexpr size_t kQuotedBytes = 40;  // of a string shown in a message

bool IsRefHeader(std::string_view rest) {
  return rest.size() >= 2 && static_cast<uint8_t>(rest[0]) == kFixExt8 && rest[1] == kRefExtension;
}

// Returns: bytes of the header if a tuple comes next, else 0.
size_t TupleHeaderBytes(std::string_view rest) {
  if (rest.empty()) return 0;
  uint8_t first = static_cast<uint8_t>(rest[0]);
  if (first < kExt8 || first >= kFloat32) return 0;
  size_t header = 2 + (size_t{1} << (first - kExt8));
  return rest.size() > header && rest[header - 1] == kTupleExtension ? header : 0;
}

std::string Quote(std::string_view text) {
  std::string quoted = "\"" + std::string(text.substr(0, kQuotedBytes));
  return quoted + (text.size() > kQuotedBytes ? "...\"" : "\"");
}

}  // namespace

void Packer::Header(uint8_t first, uint64_t number, int number_bytes) {
  bytes += static_cast<char>(first);
  for (int i = number_bytes - 1; i >= 0; --i) bytes += static_cast<char>(number >> (8 * i));
}

void Packer::Nil() {
  Header(kNil, 0, 0);
}

void Packer::Bool(bool value) {
  Header(value ? kTrue : kFalse, 0, 0);
}

void Packer::Unsigned(uint64_t value) {
  if (value < 0x80) return Header(static_cast<uint8_t>(value), 0, 0);
  if (value <= UINT8_MAX) return Header(kUint8, value, 1);
  if (value <= UINT16_MAX) return Header(kUint8 + 1, value, 2);
  if (value <= UINT32_MAX) return Header(kUint8 + 2, value, 4);
  Header(kUint8 + 3, value, 8);
}

void Packer::Signed(int64_t value) {
  if (value >= 0) return Unsigned(static_cast<uint64_t>(value));
  uint64_t bits = static_cast<uint64_t>(value);
  if (value >= -32) return Header(static_cast<uint8_t>(bits), 0, 0);
  if (value >= INT8_MIN) return Header(kInt8, bits, 1);
  if (value >= INT16_MIN) return Header(kInt8 + 1, bits, 2);
  if (value >= INT32_MIN) return Header(kInt8 + 2, bits, 4);
  Header(kInt8 + 3, bits, 8);
}

void Packer::Float(float value) {
  Header(kFloat32, std::bit_cast<uint32_t>(value), 4);
}

void Packer::Double(double value) {
  Header(kFloat64, std::bit_cast<uint64_t>(value), 8);
}

void Packer::Text(std::string_view text) {
  size_t size = text.size();
  if (size < 32) {
    Header(static_cast<uint8_t>(kFixStr | size), 0, 0);
  } else if (size <= UINT8_MAX) {
    Header(kStr8, size, 1);
  } else if (size <= UINT16_MAX) {
    Header(kStr8 + 1, size, 2);
  } else {
    if (size > UINT32_MAX) throw std::length_error("kiln: a string of 4 GiB or more");
    Header(kStr8 + 2, size, 4);
  }
  bytes += text;
}

void Packer::Bytes(std::string_view data) {
  size_t size = data.size();
  if (size > UINT32_MAX) throw std::length_error("kiln: 4 GiB of bytes or more in a value");
  if (size <= UINT8_MAX) {
    Header(kBin8, size, 1);
  } else if (size <= UINT16_MAX) {
    Header(kBin8 + 1, size, 2);
  } else {
    Header(kBin8 + 2, size, 4);
  }
  bytes += data;
}

void Packer::ListHeader(size_t count) {
  if (count < 16) return Header(static_cast<uint8_t>(kFixArray | count), 0, 0);
  if (count <= UINT16_MAX) return Header(kArray16, count, 2);
  if (count > UINT32_MAX) throw std::length_error("kiln: a list of 2^32 elements or more");
  Header(kArray32, count, 4);
}

void Packer::MapHeader(size_t count) {
  if (count < 16) return Header(static_cast<uint8_t>(kFixMap | count), 0, 0);
  if (count <= UINT16_MAX) return Header(kMap16, count, 2);
  if (count > UINT32_MAX) throw std::length_error("kiln: a map of 2^32 entries or more");
  Header(kMap32, count, 4);
}

void Packer::Reference(std::shared_ptr<const RefHandle> handle) {
  bytes += static_cast<char>(kFixExt8);
  Header(kRefExtension, Checked(handle).id(), 8);
  references.push_back(std::move(handle));
}

Unpacker::Nesting::Nesting(Unpacker& unpacker) : unpacker_(unpacker) {
  if (++unpacker_.depth_ <= kMaxDepth) return;
  --unpacker_.depth_;  // no destructor runs for a constructor that throws
  throw Mismatch("nested deeper than " + std::to_string(kMaxDepth) + " levels");
}

Unpacker::Type Unpacker::Peek() const {
  if (rest_.empty()) return Type::kOther;
  uint8_t first = static_cast<uint8_t>(rest_[0]);
  if (first < kFixMap || first >= kNegativeFixInt) return Type::kInteger;
  if (first < kFixArray) return Type::kMap;
  if (first < kFixStr) return Type::kList;
  if (first < kNil) return Type::kText;
  if (first == kNil) return Type::kNil;
  if (first == kFalse || first == kTrue) return Type::kBool;
  if (first >= kBin8 && first < kExt8) return Type::kBytes;
  if (first == kFloat32 || first == kFloat64) return Type::kReal;
  if (first >= kUint8 && first < kFixExt1) return Type::kInteger;
  if (first >= kStr8 && first < kArray16) return Type::kText;
  if (first == kArray16 || first == kArray32) return Type::kList;
  if (first == kMap16 || first == kMap32) return Type::kMap;
  if (TupleHeaderBytes(rest_) > 0) return Type::kList;
  return IsRefHeader(rest_) ? Type::kRef : Type::kOther;
}

std::string_view Unpacker::Take(size_t count) {
  if (count > rest_.size()) throw Mismatch("the value is cut off");
  std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

uint64_t Unpacker::TakeNumber(size_t bytes) {
  uint64_t number = 0;
  for (char c : Take(bytes)) number = number << 8 | static_cast<uint8_t>(c);
  return number;
}

void Unpacker::ReadNil() {
  if (Peek() != Type::kNil) Refuse("null");
  Take(1);
}

bool Unpacker::ReadBool() {
  if (Peek() != Type::kBool) Refuse("bool");
  return static_cast<uint8_t>(Take(1)[0]) == kTrue;
}

Unpacker::Integer Unpacker::TakeInteger(const char* expected) {
  if (Peek() != Type::kInteger) Refuse(expected);
  uint8_t first = static_cast<uint8_t>(Take(1)[0]);
  if (first < kFixMap) return {first, false};
  if (first >= kNegativeFixInt) return {static_cast<uint64_t>(static_cast<int8_t>(first)), true};
  if (first < kInt8) return {TakeNumber(size_t{1} << (first - kUint8)), false};
  size_t size = size_t{1} << (first - kInt8);
  int shift = static_cast<int>(64 - 8 * size);  // moves the sign to the top and back
  int64_t value = static_cast<int64_t>(TakeNumber(size) << shift) >> shift;
  return {static_cast<uint64_t>(value), value < 0};
}

int64_t Unpacker::ReadSigned(int64_t least, int64_t most, const char* expected) {
  Unpacker before = *this;
  Integer integer = TakeInteger(expected);
  int64_t value = static_cast<int64_t>(integer.bits);
  bool too_large = !integer.negative && integer.bits > static_cast<uint64_t>(most);
  if (too_large || (integer.negative && value < least)) before.Refuse(expected);
  return value;
}

uint64_t Unpacker::ReadUnsigned(uint64_t most, const char* expected) {
  Unpacker before = *this;
  Integer integer = TakeInteger(expected);
  if (integer.negative || integer.bits > most) before.Refuse(expected);
  return integer.bits;
}

double Unpacker::ReadReal(const char* expected) {
  if (Peek() == Type::kInteger) {
    Integer integer = TakeInteger(expected);
    if (integer.negative) return static_cast<double>(static_cast<int64_t>(integer.bits));
    return static_cast<double>(integer.bits);
  }
  if (Peek() != Type::kReal) Refuse(expected);
  if (static_cast<uint8_t>(Take(1)[0]) == kFloat64) return std::bit_cast<double>(TakeNumber(8));
  return std::bit_cast<float>(static_cast<uint32_t>(TakeNumber(4)));
}

size_t Unpacker::TakeLength(uint8_t first) {
  if (first < kFixStr) return first & 15;  // short map or list
  if (first < kNil) return first & 31;     // short text
  if (first >= kBin8 && first < kExt8) return TakeNumber(size_t{1} << (first - kBin8));
  if (first >= kStr8 && first < kArray16) return TakeNumber(size_t{1} << (first - kStr8));
  return TakeNumber(first == kArray16 || first == kMap16 ? 2 : 4);
}

std::string_view Unpacker::ReadText() {
  if (Peek() != Type::kText && Peek() != Type::kBytes) Refuse("string");
  return Take(TakeLength(static_cast<uint8_t>(Take(1)[0])));
}

std::string_view Unpacker::ReadBytes() {
  if (Peek() != Type::kText && Peek() != Type::kBytes) Refuse("bytes");
  return Take(TakeLength(static_cast<uint8_t>(Take(1)[0])));
}

size_t Unpacker::ReadListHeader(const std::string& expected) {
  if (Peek() != Type::kList) Refuse(expected);
  Take(TupleHeaderBytes(rest_));
  if (Peek() != Type::kList) Refuse(expected);
  size_t count = TakeLength(static_cast<uint8_t>(Take(1)[0]));
  if (count > rest_.size()) throw Mismatch("the value is cut off");
  return count;
}

size_t Unpacker::ReadMapHeader(const std::string& expected) {
  if (Peek() != Type::kMap) Refuse(expected);
  size_t count = TakeLength(static_cast<uint8_t>(Take(1)[0]));
  if (count > rest_.size() / 2) throw Mismatch("the value is cut off");
  return count;
}

Id Unpacker::ReadReference() {
  if (Peek() != Type::kRef) Refuse("a ref");
  Take(2);
  return TakeNumber(8);
}

void Unpacker::ExpectEnd() const {
  if (!rest_.empty()) throw Mismatch("bytes after the end of the value");
}

std::string Unpacker::DescribeNext() const {
  Unpacker next = *this;
  switch (Peek()) {
    case Type::kNil:
      return "null";
    case Type::kBool:
      return next.ReadBool() ? "true" : "false";
    case Type::kInteger: {
      Integer integer = next.TakeInteger("integer");
      return integer.negative ? std::to_string(static_cast<int64_t>(integer.bits))
                              : std::to_string(integer.bits);
    }
    case Type::kReal: {
      char text[32];
      std::snprintf(text, sizeof text, "%.15g", next.ReadReal("number"));
      return "number " + std::string(text);
    }
    case Type::kText:
      return "string " + Quote(next.ReadText());
    case Type::kBytes:
      return std::to_string(next.ReadBytes().size()) + " bytes";
    case Type::kList:
      return "a list of " + std::to_string(next.ReadListHeader("list"));
    case Type::kMap:
      return "a map of " + std::to_string(next.ReadMapHeader("map"));
    case Type::kRef:
      return "a ref";
    case Type::kOther:
      break;
  }
  return rest_.empty() ? "nothing" : "something unknown";
}

void Unpacker::Refuse(std::string_view expected) const {
  throw Mismatch("expected " + std::string(expected) + ", got " + DescribeNext());
}

}  // namespace kiln::detail
