#include "common/value/value.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

namespace kiln::value {
namespace {

Parts TwoBuffers(const std::vector<std::byte>& first, const std::vector<std::byte>& second) {
  Parts parts;
  parts.kind = Kind::kNdarray;
  parts.body = "body";
  parts.buffers = {first, second};
  return parts;
}

TEST_CASE("a value reads back as it was written, with aligned buffers", "[value]") {
  std::vector<std::byte> first(100, std::byte{1}), second(7, std::byte{2});
  std::string bytes = TwoBuffers(first, second).ToString();
  Result<View> view = ParseValue(bytes);
  REQUIRE(view.ok());
  CHECK(view->kind == Kind::kNdarray);
  CHECK(view->body == "body");
  REQUIRE(view->buffers.size() == 2);
  CHECK(std::ranges::equal(view->buffers[0], first));
  CHECK(std::ranges::equal(view->buffers[1], second));
  for (const auto& buffer : view->buffers) {
    CHECK((reinterpret_cast<const char*>(buffer.data()) - bytes.data()) % kBufferAlignment == 0);
  }
}

TEST_CASE("a body may be in two parts, the second borrowed", "[value]") {
  std::vector<std::byte> first(100, std::byte{1}), second(7, std::byte{2});
  Parts parts = TwoBuffers(first, second);
  const std::string whole = parts.ToString();
  parts.body = "bo";
  const std::string rest = "dy";
  parts.body_rest = std::as_bytes(std::span(rest));
  CHECK(parts.SizeBytes() == whole.size());
  CHECK(parts.ToString() == whole);
}

TEST_CASE("a value without body and buffers is its header", "[value]") {
  std::string bytes = Parts{}.ToString();
  CHECK(bytes.size() == sizeof(ValueHeader));
  Result<View> view = ParseValue(bytes);
  REQUIRE(view.ok());
  CHECK(view->kind == Kind::kNull);
  CHECK(view->body.empty());
}

TEST_CASE("a buffer that lies in its place stays there", "[value]") {
  Parts parts;
  parts.kind = Kind::kNdarray;
  parts.body = "xyz";
  size_t offset = FirstBufferOffset(parts.body.size());
  std::vector<std::byte> room(offset + 3, std::byte{0xff});
  room[offset] = std::byte{42};
  parts.buffers = {std::span(room).subspan(offset, 3)};
  REQUIRE(parts.SizeBytes() == room.size());
  parts.WriteTo(room.data());
  Result<View> view = ParseValue({reinterpret_cast<const char*>(room.data()), room.size()});
  REQUIRE(view.ok());
  CHECK(view->body == "xyz");
  CHECK(view->buffers[0].data() == room.data() + offset);
  CHECK(view->buffers[0][0] == std::byte{42});
}

TEST_CASE("padding does not show what was in the room before", "[value]") {
  std::vector<std::byte> data(8, std::byte{1});
  Parts parts;
  parts.buffers = {data};
  std::vector<std::byte> room(parts.SizeBytes(), std::byte{0xaa});
  parts.WriteTo(room.data());
  CHECK(std::ranges::count(room, std::byte{0xaa}) == 0);
}

TEST_CASE("every cut of a value is refused", "[value]") {
  std::vector<std::byte> first(100), second(7);
  std::string bytes = TwoBuffers(first, second).ToString();
  for (size_t size = 0; size < bytes.size(); ++size) {
    Result<View> view = ParseValue(std::string_view(bytes).substr(0, size));
    REQUIRE_FALSE(view.ok());
    CHECK(view.status().code() == Code::kDataLoss);
  }
  CHECK_FALSE(ParseValue(bytes + "x").ok());
}

// Sets a number inside an encoded value.
template <typename T>
std::string WithNumber(std::string bytes, size_t offset, T number) {
  std::memcpy(bytes.data() + offset, &number, sizeof number);
  return bytes;
}

TEST_CASE("numbers that overflow are refused", "[value]") {
  std::vector<std::byte> first(100), second(7);
  std::string bytes = TwoBuffers(first, second).ToString();
  for (uint64_t number : {UINT64_MAX, UINT64_MAX - 31, uint64_t{1} << 63, uint64_t{4096}}) {
    CAPTURE(number);
    CHECK_FALSE(ParseValue(WithNumber(bytes, offsetof(ValueHeader, body_bytes), number)).ok());
    CHECK_FALSE(ParseValue(WithNumber(bytes, offsetof(ValueHeader, total_bytes), number)).ok());
    CHECK_FALSE(ParseValue(WithNumber(bytes, sizeof(ValueHeader), number)).ok());      // offset
    CHECK_FALSE(ParseValue(WithNumber(bytes, sizeof(ValueHeader) + 8, number)).ok());  // size
  }
  for (uint32_t count : {UINT32_MAX, 1u << 28, 100u}) {
    CHECK_FALSE(ParseValue(WithNumber(bytes, offsetof(ValueHeader, buffer_count), count)).ok());
  }
  CHECK_FALSE(ParseValue(WithNumber(bytes, offsetof(ValueHeader, kind), uint8_t{200})).ok());
  CHECK_FALSE(ParseValue(WithNumber(bytes, offsetof(ValueHeader, version), uint8_t{2})).ok());
  CHECK_FALSE(ParseValue(WithNumber(bytes, sizeof(ValueHeader), uint64_t{129})).ok());
}

TEST_CASE("whatever bytes change, a view stays inside the value", "[value]") {
  std::vector<std::byte> first(100), second(7);
  const std::string original = TwoBuffers(first, second).ToString();
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = original;
    for (int change = 0; change < 3; ++change) {
      bytes[random() % 72] = static_cast<char>(random());
    }
    Result<View> view = ParseValue(bytes);
    if (!view.ok()) continue;
    auto inside = [&](const void* data, size_t size) {
      auto* begin = static_cast<const char*>(data);
      return begin >= bytes.data() && begin + size <= bytes.data() + bytes.size();
    };
    REQUIRE(inside(view->body.data(), view->body.size()));
    for (const auto& buffer : view->buffers) REQUIRE(inside(buffer.data(), buffer.size()));
  }
}

}  // namespace
}  // namespace kiln::value
