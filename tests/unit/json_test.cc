#include "common/value/json.h"

#include <catch2/catch.hpp>
#include <limits>
#include <msgpack.hpp>

#include "common/value/base64.h"
#include "common/value/error_value.h"
#include "common/value/value.h"

namespace kiln::value {
namespace {

// JSON that came out of an encoded value.
std::string Through(const std::string& json) {
  Result<JsonArgument> argument = ParseJson(json);
  REQUIRE(argument.ok());
  Result<std::string> text = ToJson(argument->value);
  REQUIRE(text.ok());
  return *text;
}

std::string Encoded(Kind kind, std::string body) {
  Parts parts;
  parts.kind = kind;
  parts.body = std::move(body);
  return parts.ToString();
}

template <typename T>
std::string Packed(const T& value) {
  msgpack::sbuffer buffer;
  msgpack::pack(buffer, value);
  return Encoded(Kind::kMsgpack, std::string(buffer.data(), buffer.size()));
}

TEST_CASE("JSON comes through a value unchanged", "[json]") {
  for (const char* json :
       {"1", "-1", "0", "18446744073709551615", "-9223372036854775808", "2.5", "0.1", "true",
        "false", "null", "\"\"", "\"caf\xc3\xa9 \\\"q\\\"\\n\"", "[]", "{}", "[1,[2,[3,[]]]]",
        "{\"a\":{\"b\":[1,null]},\"c\":\"d\"}", "{\"$bytes\":\"AAH/\"}",
        "[{\"$ref\":\"0000000000000012\"}]", "{\"$ref\":\"x\",\"other\":1}"}) {
    CHECK(Through(json) == json);
  }
  CHECK(Through(" [ 1 , 2.0 ] ") == "[1,2.0]");
}

TEST_CASE("a whole number that was real stays real", "[json]") {
  CHECK(Through("3.0") == "3.0");
  CHECK(Through("1e300") == "1e+300");
}

TEST_CASE("null is the null value", "[json]") {
  CHECK(ParseJson("null")->value == Parts{}.ToString());
}

TEST_CASE("a ref alone is told apart from a value with refs inside", "[json]") {
  Result<JsonArgument> alone = ParseJson("{\"$ref\": \"00000000000000ff\"}");
  REQUIRE(alone.ok());
  CHECK(alone->ref == ObjectId{255});
  CHECK(alone->value.empty());

  Result<JsonArgument> inside =
      ParseJson("[{\"$ref\":\"0000000000000002\"},{\"x\":{\"$ref\":\"0000000000000001\"}}]");
  REQUIRE(inside.ok());
  CHECK_FALSE(inside->ref);
  CHECK(inside->contained == std::vector<ObjectId>{2, 1});
  Result<View> view = ParseValue(inside->value);
  REQUIRE(view.ok());
  CHECK(view->body.substr(0, 11) == std::string_view("\x92\xd7\x01\0\0\0\0\0\0\0\x02", 11));
}

TEST_CASE("bad JSON is refused with line and column", "[json]") {
  Status status = ParseJson("[1,\n 2,,]").status();
  CHECK(status.code() == Code::kInvalidArgument);
  CHECK_THAT(status.message(), Catch::Contains("line 2, column 4"));
  for (const char* json : {"", "[1,2", "{\"a\":}", "hello", "1 2", "'x'", "\"\xff\"", "nul"}) {
    CAPTURE(json);
    CHECK(ParseJson(json).status().code() == Code::kInvalidArgument);
  }
}

TEST_CASE("refs and bytes that are none are refused", "[json]") {
  for (const char* json : {"{\"$ref\":\"12\"}", "{\"$ref\":\"0000000000000000\"}", "{\"$ref\":5}",
                           "[{\"$ref\":[]}]", "{\"$bytes\":\"a\"}", "{\"$bytes\":\"====\"}",
                           "{\"$bytes\":1}", "[{\"$bytes\":\"a?==\"}]"}) {
    CAPTURE(json);
    CHECK(ParseJson(json).status().code() == Code::kInvalidArgument);
  }
}

TEST_CASE("nesting is bounded both ways", "[json]") {
  CHECK_THAT(ParseJson(std::string(1'000'000, '[')).status().message(),
             Catch::Contains("nested deeper than"));
  std::string fits = std::string(200, '[') + std::string(200, ']');
  CHECK(Through(fits) == fits);
  std::string deep(1'000'000, '\x91');
  CHECK(ToJson(Encoded(Kind::kMsgpack, deep)).status().code() == Code::kInvalidArgument);
}

TEST_CASE("broken msgpack is refused and costs no memory", "[json]") {
  for (const std::string& body : {std::string(), std::string("\xdd\xff\xff\xff\xff", 5),
                                  std::string("\xdb\xff\xff\xff\xff", 5), std::string("\x92\x01"),
                                  std::string("\xc1"), std::string("\x01\x02")}) {
    CHECK(ToJson(Encoded(Kind::kMsgpack, body)).status().code() == Code::kDataLoss);
  }
  CHECK(ToJson("nonsense").status().code() == Code::kDataLoss);
}

TEST_CASE("what JSON lacks is written as text, null or an object", "[json]") {
  CHECK(*ToJson(Packed(std::map<int, std::string>{{-1, "a"}, {2, "b"}})) ==
        "{\"-1\":\"a\",\"2\":\"b\"}");
  CHECK(*ToJson(Packed(std::map<std::vector<int>, int>{{{1, 2}, 3}})) == "{\"[1,2]\":3}");
  CHECK(*ToJson(Packed(std::numeric_limits<double>::infinity())) == "null");
  CHECK(*ToJson(Packed(0.1f)) == "0.1");
  CHECK(*ToJson(Encoded(Kind::kMsgpack, "\xa1\xff")) == "\"\xef\xbf\xbd\"");
  CHECK(*ToJson(Encoded(Kind::kMsgpack, std::string("\xd4\x05\x01", 3))) ==
        "{\"$ext\":5,\"$bytes\":\"AQ==\"}");
}

// As Python writes it: extension 2 around a list.
std::string Tuple(const std::string& list) {
  std::string size(4, '\0');
  size[3] = static_cast<char>(list.size());
  return "\xc9" + size + "\x02" + list;
}

TEST_CASE("a tuple is a list in JSON, however deep, and a broken one is refused", "[json]") {
  CHECK(*ToJson(Encoded(Kind::kMsgpack, Tuple("\x92\x01\xa1x"))) == "[1,\"x\"]");
  CHECK(*ToJson(Encoded(Kind::kMsgpack, "\x92" + Tuple("\x91" + Tuple("\x90")) + "\x07")) ==
        "[[[]],7]");
  std::string deep = "\x90";
  while (deep.size() < 200) deep = Tuple("\x91" + deep);
  CHECK(ToJson(Encoded(Kind::kMsgpack, deep)).ok());
  for (const std::string& list :
       {std::string("\x92\x01"), std::string("\x91\x01\x02"), std::string("\xc1"), std::string()}) {
    CHECK(ToJson(Encoded(Kind::kMsgpack, Tuple(list))).status().code() == Code::kDataLoss);
  }
}

TEST_CASE("an error is an object", "[json]") {
  std::string error = EncodeError({ErrorKind::kTimedOut, "", "too long", "Sleep", 12, {"Outer"}});
  CHECK(*ToJson(error) ==
        "{\"error\":{\"kind\":\"TIMED_OUT\",\"type\":\"\",\"message\":\"too long\","
        "\"task\":\"Sleep\",\"pid\":12,\"chain\":[\"Outer\"]}}");
}

TEST_CASE("a Python object has no JSON", "[json]") {
  CHECK(ToJson(Encoded(Kind::kPickle, "x")).status().code() == Code::kInvalidArgument);
}

std::string Ndarray(const std::string& dtype, const std::vector<uint64_t>& shape,
                    std::span<const std::byte> data) {
  msgpack::sbuffer body;
  msgpack::packer packer(body);
  packer.pack_map(2).pack("dtype").pack(dtype).pack("shape").pack(shape);
  Parts parts;
  parts.kind = Kind::kNdarray;
  parts.body.assign(body.data(), body.size());
  parts.buffers = {data};
  return parts.ToString();
}

TEST_CASE("an array is nested lists", "[json]") {
  std::vector<int32_t> numbers = {1, 2, 3, 4, 5, -6};
  auto bytes = std::as_bytes(std::span(numbers));
  CHECK(*ToJson(Ndarray("<i4", {2, 3}, bytes)) == "[[1,2,3],[4,5,-6]]");
  CHECK(*ToJson(Ndarray("<i4", {6}, bytes)) == "[1,2,3,4,5,-6]");
  CHECK(*ToJson(Ndarray("<i4", {}, bytes.subspan(0, 4))) == "1");
  CHECK(*ToJson(Ndarray("<i4", {2, 0}, {})) == "[[],[]]");
  std::vector<double> reals = {0.5, 2};
  CHECK(*ToJson(Ndarray("<f8", {2}, std::as_bytes(std::span(reals)))) == "[0.5,2.0]");
  std::vector<uint8_t> flags = {1, 0};
  CHECK(*ToJson(Ndarray("|b1", {2}, std::as_bytes(std::span(flags)))) == "[true,false]");
}

TEST_CASE("an array that is not what it says is refused", "[json]") {
  std::vector<std::byte> data(24);
  for (const auto& bytes :
       {Ndarray("<i4", {2, 4}, data), Ndarray("<c16", {1}, data), Ndarray("<i4", {7}, data),
        Ndarray("<f8", {uint64_t{1} << 62, 8}, data), Ndarray("<i4", {}, data)}) {
    CHECK(ToJson(bytes).status().code() == Code::kDataLoss);
  }
}

TEST_CASE("base64 reads back what it wrote", "[json]") {
  CHECK(EncodeBase64("") == "");
  CHECK(EncodeBase64("f") == "Zg==");
  CHECK(EncodeBase64("fo") == "Zm8=");
  CHECK(EncodeBase64("foobar") == "Zm9vYmFy");
  std::string all;
  for (int i = 0; i < 256; ++i) {
    all += static_cast<char>(i);
    CHECK(DecodeBase64(EncodeBase64(all)) == all);
  }
  for (const char* text : {"Z", "Zg=", "Zg", "=Zg=", "Zg==Zg==", "Zm9v\n"}) {
    CHECK_FALSE(DecodeBase64(text));
  }
}

}  // namespace
}  // namespace kiln::value
