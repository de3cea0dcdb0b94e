#include "common/value/error_value.h"

#include <catch2/catch.hpp>

#include "common/value/value.h"

namespace kiln {
namespace {

TEST_CASE("an error reads back as it was written, in every kind", "[error_value]") {
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::kObjectLost); ++kind) {
    ErrorInfo error{static_cast<ErrorKind>(kind), "std::runtime_error", "boom", "Fail", 4711,
                    {"Middle", "Outer"}};
    CHECK(DecodeError(EncodeError(error)) == error);
    error.traceback = "Traceback (most recent call last):\n  ...";
    error.exception = std::string("\x80\x05\0.", 4);
    CHECK(DecodeError(EncodeError(error)) == error);
  }
}

TEST_CASE("bytes of an error's text that are no UTF-8 are read as question marks",
          "[error_value]") {
  ErrorInfo error{ErrorKind::kTaskFailed, "E\xff", "gr\xfcn \u2603", "T\xc0", 1, {"\xed\xa0\x80"}};
  ErrorInfo clean{ErrorKind::kTaskFailed, "E?", "gr?n \u2603", "T?", 1, {"???"}};
  CHECK(DecodeError(EncodeError(error)) == clean);
}

TEST_CASE("every kind of error has a name of its own", "[error_value]") {
  CHECK(ErrorKindName(ErrorKind::kTaskFailed) == "TASK_FAILED");
  CHECK(ErrorKindName(ErrorKind::kObjectStoreFull) == "OBJECT_STORE_FULL");
  CHECK(ErrorKindName(ErrorKind::kObjectLost) == "OBJECT_LOST");
}

TEST_CASE("an error that cannot be read is a failed task that says so", "[error_value]") {
  std::string good = EncodeError({});
  value::Parts hostile;
  hostile.kind = value::Kind::kError;
  hostile.body = std::string(2000, '\x91');  // lists in lists
  value::Parts list_header;
  list_header.kind = value::Kind::kError;
  list_header.body = "\xdd\xff\xff\xff\xff";  // a list of 2^32 - 1
  for (const std::string& bytes :
       {std::string(), std::string("nonsense"), good.substr(0, good.size() - 3),
        value::Parts{}.ToString(), hostile.ToString(), list_header.ToString()}) {
    ErrorInfo error = DecodeError(bytes);
    CHECK(error.kind == ErrorKind::kTaskFailed);
    CHECK_THAT(error.message, Catch::Contains("cannot be read"));
  }
}

TEST_CASE("an error for people names kind, type, task, process and chain", "[error_value]") {
  std::string text =
      FormatError({ErrorKind::kTaskFailed, "std::runtime_error", "boom", "Fail", 4711, {"Outer"}});
  CHECK(text ==
        "TASK_FAILED (std::runtime_error): boom\n"
        "  task: Fail\n"
        "  worker pid: 4711\n"
        "  which failed with it: Outer");
  CHECK_THAT(FormatError({.message = "boom", .traceback = "Traceback"}),
             Catch::EndsWith("\nTraceback"));
  CHECK(FormatError({ErrorKind::kCancelled, "", "stopped", "", 0, {}}) == "CANCELLED: stopped");
}

}  // namespace
}  // namespace kiln
