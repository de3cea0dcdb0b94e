#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <msgpack.hpp>
#include <random>

#include "kiln/kiln.h"

namespace kiln::detail {
namespace {

const std::shared_ptr<Runtime> kNoRuntime;

enum class Colour : uint8_t { kRed, kGreen };

struct Point {
  double x = 0;
  double y = 0;
  KILN_STRUCT(x, y)
  bool operator==(const Point&) const = default;
};

struct Node {
  std::string name;
  std::vector<Node> children;
  std::optional<Point> place;
  KILN_STRUCT(name, children, place)
  bool operator==(const Node&) const = default;
};

template <typename T>
std::string PackOne(const T& value) {
  Packer packer;
  Codec<T>::Pack(packer, value);
  return packer.bytes;
}

template <typename T>
T UnpackOne(std::string_view bytes) {
  Unpacker in(bytes, kNoRuntime);
  T value = Codec<T>::Unpack(in);
  in.ExpectEnd();
  return value;
}

template <typename T>
void CheckRoundTrip(const T& value) {
  CHECK(UnpackOne<T>(PackOne(value)) == value);
}

// The message of the refusal.
template <typename T>
std::string Refusal(std::string_view bytes) {
  try {
    UnpackOne<T>(bytes);
    return "accepted";
  } catch (const Mismatch& mismatch) {
    return mismatch.Text();
  }
}

// As the reference implementation writes it.
template <typename T>
std::string Reference(const T& value) {
  msgpack::sbuffer buffer;
  msgpack::pack(buffer, value);
  return {buffer.data(), buffer.size()};
}

TEST_CASE("integers of every length read back, and as the reference writes them", "[codec]") {
  for (int bits = 0; bits < 64; ++bits) {
    for (uint64_t delta : {UINT64_MAX, uint64_t{0}, uint64_t{1}}) {
      uint64_t value = (uint64_t{1} << bits) + delta;
      for (uint64_t number : {value, 0 - value}) {
        CheckRoundTrip(number);
        CheckRoundTrip(static_cast<int64_t>(number));
        CHECK(PackOne(number) == Reference(number));
        CHECK(PackOne(static_cast<int64_t>(number)) == Reference(static_cast<int64_t>(number)));
      }
    }
  }
  CheckRoundTrip(std::numeric_limits<int64_t>::min());
  CheckRoundTrip(std::numeric_limits<uint64_t>::max());
}

TEST_CASE("text, lists and maps of every length of header are as the reference writes them",
          "[codec]") {
  for (size_t size : {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536}) {
    std::string text(size, 'x');
    CheckRoundTrip(text);
    CHECK(PackOne(text) == Reference(text));
    std::vector<bool> list(size, true);
    CheckRoundTrip(list);
    CHECK(PackOne(list) == Reference(list));
    std::map<int, int> map;
    for (size_t i = 0; i < size; ++i) map[static_cast<int>(i)] = 1;
    CheckRoundTrip(map);
    CHECK(PackOne(map) == Reference(map));
    CheckRoundTrip(std::vector<std::byte>(size, std::byte{7}));
  }
}

TEST_CASE("everything that can travel reads back", "[codec]") {
  CheckRoundTrip(true);
  CheckRoundTrip('x');
  CheckRoundTrip(Colour::kGreen);
  CheckRoundTrip(1.5);
  CheckRoundTrip(0.1f);
  CheckRoundTrip(-std::numeric_limits<double>::infinity());
  CHECK(std::isnan(UnpackOne<float>(PackOne(std::nanf("")))));
  CheckRoundTrip(std::optional<int>());
  CheckRoundTrip(std::optional<int>(3));
  CheckRoundTrip(std::pair<int, std::string>(1, "a"));
  CheckRoundTrip(std::tuple<int, double, std::string>(1, 2.5, "b"));
  CheckRoundTrip(std::tuple<>());
  CheckRoundTrip(std::array<int, 3>{1, 2, 3});
  CheckRoundTrip(std::set<std::string>{"a", "b"});
  CheckRoundTrip(std::unordered_set<int>{1, 2});
  CheckRoundTrip(std::deque<int>{1, 2});
  CheckRoundTrip(std::unordered_map<std::string, std::vector<Point>>{{"k", {{1, 2}}}});
  CheckRoundTrip(std::vector<std::vector<double>>{{1.5}, {}, {2}});
  CheckRoundTrip(Point{1, -2});
  CheckRoundTrip(Node{"root", {{"leaf", {}, Point{1, 2}}, {"leaf 2", {}, {}}}, {}});
}

TEST_CASE("numbers are read strictly, except that integers may be real", "[codec]") {
  CHECK(UnpackOne<double>(PackOne(7)) == 7);
  CHECK(UnpackOne<double>(PackOne(int64_t{-7})) == -7);
  CHECK(UnpackOne<float>(PackOne(7)) == 7);
  CHECK(UnpackOne<float>(PackOne(0.5)) == 0.5f);
  CHECK(Refusal<int>(PackOne(1.0)) == "expected int, got number 1");
  CHECK(Refusal<int>(PackOne(int64_t{1} << 31)) == "expected int, got 2147483648");
  CHECK(Refusal<int8_t>(PackOne(-129)) == "expected signed char, got -129");
  CHECK(Refusal<unsigned>(PackOne(-1)) == "expected unsigned int, got -1");
  CHECK(Refusal<uint64_t>(PackOne(-1)) == "expected long unsigned int, got -1");
  CHECK(Refusal<int64_t>(PackOne(UINT64_MAX)) == "expected long int, got 18446744073709551615");
  CHECK(Refusal<float>(PackOne(1e300)) == "expected float, got number 1e+300");
  CHECK(Refusal<bool>(PackOne(1)) == "expected bool, got 1");
  CHECK(Refusal<int>(PackOne(true)) == "expected int, got true");
}

TEST_CASE("a mismatch says what was expected, what came, and where", "[codec]") {
  CHECK(Refusal<int>(PackOne(std::string("x"))) == "expected int, got string \"x\"");
  CHECK(Refusal<int>(PackOne(std::optional<int>())) == "expected int, got null");
  CHECK(Refusal<std::string>(PackOne(5)) == "expected string, got 5");
  CHECK(Refusal<int>(PackOne(std::vector<int>{1, 2})) == "expected int, got a list of 2");
  CHECK(Refusal<int>(PackOne(Point())) == "expected int, got a map of 2");
  CHECK(Refusal<std::vector<int>>(PackOne(std::string(100, 'y'))) ==
        "expected std::vector<int>, got string \"" + std::string(40, 'y') + "...\"");
  CHECK(Refusal<std::map<std::string, std::vector<int>>>(
            PackOne(std::map<std::string, std::vector<std::string>>{{"k", {"a"}}})) ==
        "[\"k\"][0]: expected int, got string \"a\"");
  CHECK(Refusal<std::array<int, 3>>(PackOne(std::vector<int>{1})) ==
        "expected std::array<int, 3>, got a list of 1");
  CHECK(Refusal<std::tuple<int, bool>>(PackOne(std::tuple<int, int>{1, 2})) ==
        "[1]: expected bool, got 2");
  using PointMap = std::map<std::string, std::string>;
  std::string points = PackOne(std::vector<PointMap>{{{"x", "1"}}});
  CHECK(Refusal<std::vector<Point>>(points) == "[0].x: expected double, got string \"1\"");
}

TEST_CASE("a struct is a map by field name, in any order", "[codec]") {
  using Map = std::map<std::string, double>;
  CHECK(UnpackOne<Point>(PackOne(Map{{"y", 2}, {"x", 1}})) == Point{1, 2});
  CHECK(UnpackOne<Map>(PackOne(Point{1, 2})) == Map{{"x", 1}, {"y", 2}});
  std::string name = Codec<Point>::Name();
  CHECK_THAT(name, Catch::EndsWith("Point"));
  CHECK(Refusal<Point>(PackOne(Map{{"x", 1}})) == name + " without its field \"y\"");
  CHECK(Refusal<Point>(PackOne(Map{{"x", 1}, {"y", 2}, {"z", 3}})) ==
        name + " has no field \"z\"; its fields: x, y");
  CHECK(Refusal<Point>(PackOne(std::vector<double>{1, 2})) ==
        "expected " + name + ", got a list of 2");
  std::string twice =
      "\x82" + PackOne(std::string("x")) + PackOne(1) + PackOne(std::string("x")) + PackOne(1);
  CHECK(Refusal<Point>(twice) == "field \"x\" is given twice");
}

TEST_CASE("only optional fields of a struct may be absent", "[codec]") {
  std::string bytes = "\x82" + PackOne(std::string("name")) + PackOne(std::string("n")) +
                      PackOne(std::string("children")) + PackOne(std::vector<int>());
  CHECK(UnpackOne<Node>(bytes) == Node{"n", {}, {}});
}

TEST_CASE("keys that are numbers may come as text, as JSON has them", "[codec]") {
  std::string bytes = PackOne(std::map<std::string, int>{{"-5", 1}, {"7", 2}});
  CHECK(UnpackOne<std::map<int, int>>(bytes) == std::map<int, int>{{-5, 1}, {7, 2}});
  CHECK(Refusal<std::map<int, int>>(PackOne(std::map<std::string, int>{{"5x", 1}})) ==
        "expected int as a key, got string \"5x\"");
}

TEST_CASE("text may come as bytes", "[codec]") {
  std::string bytes = PackOne(std::vector<std::byte>(3, std::byte{'a'}));
  CHECK(UnpackOne<std::string>(bytes) == "aaa");
  CHECK(UnpackOne<std::string_view>(bytes) == "aaa");
}

TEST_CASE("a list may come as Python's tuple", "[codec]") {
  const std::string list = PackOne(std::vector<int>{1, 2, 300});
  for (const std::string& header :
       {std::string("\xc7\x06\x02", 3), std::string("\xc8\0\x06\x02", 4),
        std::string("\xc9\0\0\0\x06\x02", 6)}) {
    CHECK(UnpackOne<std::vector<int>>(header + list) == std::vector<int>{1, 2, 300});
    CHECK(UnpackOne<std::tuple<int, int, int>>(header + list) == std::tuple(1, 2, 300));
  }
  CHECK(Refusal<int>(std::string("\xc7\x06\x02", 3) + list) == "expected int, got a list of 3");
  CHECK_THAT(Refusal<std::vector<int>>(std::string("\xc7\x01\x02\x05", 4)),
             Catch::Contains("expected"));
  CHECK_THAT(Refusal<std::vector<int>>(std::string("\xc7\x06\x02", 3)),
             Catch::Contains("expected"));
}

TEST_CASE("a struct that contains itself is refused beyond a depth", "[codec]") {
  std::string bytes;
  for (int i = 0; i < 100'000; ++i) {
    bytes += "\x81" + PackOne(std::string("children")) + "\x91";
  }
  CHECK_THAT(Refusal<Node>(bytes), Catch::Contains("nested deeper than"));
}

TEST_CASE("every cut of a packed value is refused", "[codec]") {
  Node node{"root", {{"leaf", {}, Point{1, 2}}}, Point{0.5, 1e10}};
  std::string bytes = PackOne(node);
  for (size_t size = 0; size < bytes.size(); ++size) {
    CHECK(Refusal<Node>(std::string_view(bytes).substr(0, size)) != "accepted");
  }
  CHECK(Refusal<Node>(bytes + "\x01") == "bytes after the end of the value");
}

TEST_CASE("lengths beyond the value are refused before memory is taken", "[codec]") {
  std::string_view list("\xdd\xff\xff\xff\xff", 5), map("\xdf\xff\xff\xff\xff", 5);
  CHECK(Refusal<std::vector<int>>(list) == "the value is cut off");
  CHECK(Refusal<std::map<int, int>>(map) == "the value is cut off");
  CHECK(Refusal<std::string>(std::string_view("\xdb\xff\xff\xff\xff", 5)) ==
        "the value is cut off");
}

TEST_CASE("random bytes are read or refused, never more", "[codec]") {
  std::mt19937 random(3);
  const std::string original = PackOne(Node{"root", {{"leaf", {}, Point{1, 2}}}, {}});
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = original;
    for (int change = 0; change < 2; ++change) bytes[random() % bytes.size()] = char(random());
    Refusal<Node>(bytes);
  }
  SUCCEED();
}

TEST_CASE("a ref needs a session", "[codec]") {
  std::string_view ref("\xd7\x01\0\0\0\0\0\0\0\x05", 10);
  CHECK(Refusal<Ref<int>>(ref) == "a ref outside of a session");
  CHECK(Refusal<int>(ref) == "expected int, got a ref");
  CHECK_THROWS_AS(PackOne(Ref<int>()), std::logic_error);
}

TEST_CASE("types have readable names", "[codec]") {
  CHECK(Codec<std::map<std::string, std::optional<std::vector<int>>>>::Name() ==
        "std::map<std::string, std::optional<std::vector<int>>>");
  CHECK(ParameterNames<const std::string&, int, std::span<const double>>() ==
        "std::string, int, std::span<const double>");
  CHECK(ParameterNames<>() == "");
}

}  // namespace
}  // namespace kiln::detail
