#include "daemon/services/row_filter.h"

#include <catch2/catch.hpp>
#include <limits>

#include "daemon/sessions/convert.h"
#include "kiln/v1/state.pb.h"

namespace kiln::services {
namespace {

google::protobuf::RepeatedPtrField<std::string> Texts(std::initializer_list<const char*> texts) {
  google::protobuf::RepeatedPtrField<std::string> out;
  for (const char* text : texts) *out.Add() = text;
  return out;
}

core::ProgramId NoPythonHost(const std::string& root) {
  FAIL("asks for a host of " << root);
  return 0;
}

bool Matches(std::initializer_list<const char*> filters, const v1::TaskInfo& row) {
  Result<RowFilter> filter = RowFilter::Parse(Texts(filters), v1::TaskInfo::descriptor());
  REQUIRE(filter.ok());
  return filter->Matches(row);
}

TEST_CASE("a row is selected when all conditions hold, whatever the case and type") {
  v1::TaskInfo row;
  row.set_name("Add");
  row.set_state("READY");
  row.set_attempt(2);
  CHECK(Matches({}, row));
  CHECK(Matches({"state=ready"}, row));
  CHECK(Matches({"state=READY", "attempt=2"}, row));
  CHECK_FALSE(Matches({"state=READY", "attempt!=2"}, row));
  CHECK(Matches({"name!=Sub"}, row));
  CHECK(Matches({"detail="}, row));
}

TEST_CASE("a filter that is none names the columns there are") {
  for (const char* text : {"", "state", "colour=red", "=READY", "!=READY"}) {
    Result<RowFilter> filter = RowFilter::Parse(Texts({text}), v1::TaskInfo::descriptor());
    REQUIRE_FALSE(filter.ok());
    CHECK(filter.status().code() == Code::kInvalidArgument);
    CHECK(filter.status().message().find("worker_pid") != std::string::npos);
  }
}

TEST_CASE("a task class survives the way to the core and back") {
  v1::TaskClass in;
  in.set_library("/lib/x.so");
  in.set_function("F");
  in.set_name("f");
  in.mutable_resources()->set_num_cpus(0.5);
  in.mutable_resources()->set_memory_bytes(1000);
  (*in.mutable_resources()->mutable_custom())["disk"] = 2;
  in.set_max_retries(-1);
  in.set_retry_exceptions(true);
  in.set_timeout_ms(1500);
  in.set_priority(-3);
  in.set_detached(true);
  in.set_num_returns(4);
  Result<core::TaskClass> converted = sessions::FromProto(in, 9, NoPythonHost);
  REQUIRE(converted.ok());
  CHECK(converted->program == core::kLibraryHost);
  v1::TaskClass out;
  sessions::ToProto(*converted, 7, &out);
  in.set_class_id(7);
  CHECK(out.SerializeAsString().size() == in.SerializeAsString().size());
  CHECK(out.DebugString() == in.DebugString());
}

TEST_CASE("a python: library is run by the host of its directory") {
  v1::TaskClass in;
  in.set_library("python:/home/me");
  in.set_function("pkg.module:name");
  std::string asked;
  const auto host = [&](const std::string& root) {
    asked = root;
    return core::ProgramId{17};
  };
  Result<core::TaskClass> converted = sessions::FromProto(in, 9, host);
  REQUIRE(converted.ok());
  CHECK(converted->program == 17);
  CHECK(converted->library == "python:/home/me");
  CHECK(asked == "/home/me");
  asked.clear();
  for (const char* library : {"python:", "python:me", "python", "python/me", "pythonic:/me"}) {
    in.set_library(library);
    const Status refused = sessions::FromProto(in, 9, host).status();
    CHECK(refused.code() == Code::kInvalidArgument);
    CHECK(refused.message().find(library) != std::string::npos);
  }
  in.set_library("python:/home/me");
  for (const char* function : {"name", ":name", "pkg.module:"}) {
    in.set_function(function);
    const Status refused = sessions::FromProto(in, 9, host).status();
    CHECK(refused.code() == Code::kInvalidArgument);
    CHECK(refused.message().find("package.module:name") != std::string::npos);
  }
  CHECK(asked.empty());
}

TEST_CASE("a task class that cannot be is refused with the reason") {
  v1::TaskClass in;
  CHECK_FALSE(sessions::FromProto(in, 1, NoPythonHost).ok());
  in.set_function("F");
  CHECK(sessions::FromProto(in, 1, NoPythonHost).ok());
  in.set_library("relative.so");
  CHECK(sessions::FromProto(in, 1, NoPythonHost).status().message().find("relative.so") !=
        std::string::npos);
  in.set_library("");
  for (double amount : {-1.0, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
    in.mutable_resources()->set_num_cpus(amount);
    CHECK(sessions::FromProto(in, 1, NoPythonHost).status().message().find("num_cpus") !=
          std::string::npos);
  }
}

}  // namespace
}  // namespace kiln::services
