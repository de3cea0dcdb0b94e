// The functions of a process: registration, task libraries, and calls of them.
#include "worker/registry.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "common/value/json.h"
#include "kiln/detail/task_scope.h"
#include "kiln/kiln.h"
#include "tests/unit/fake_runtime.h"
#include "tests/unit/temp_dir.h"
#include "worker/invoke.h"
#include "worker/library.h"

namespace kiln::worker {
namespace {

int Shared() {
  return 2;
}
KILN_TASK(Shared);

int Halves(int number) {
  return number / 2;
}
KILN_TASK(Halves);
KILN_TASK(Halves);  // as if it stood in a header

double Clash(double number) {
  return number;
}
const bool kFirst = detail::Register("Clash", &Clash);
const bool kSecond = detail::Register("Clash", &Halves);

int ThrowsCancelled() {
  throw TaskCancelledError("by itself");
}
KILN_TASK(ThrowsCancelled);

int FillsStore() {
  throw ObjectStoreFullError("no room");
}
KILN_TASK(FillsStore);

int WaitsTooLong() {
  throw GetTimeoutError("not there");
}
KILN_TASK(WaitsTooLong);

std::vector<value::SharedBytes> Encoded(const std::vector<std::string>& json) {
  std::vector<value::SharedBytes> arguments;
  for (const std::string& text : json) {
    auto bytes = std::make_shared<const std::string>(value::ParseJson(text)->value);
    arguments.push_back({bytes, reinterpret_cast<const std::byte*>(bytes->data()), bytes->size()});
  }
  return arguments;
}

// The result as JSON, or the error as text.
std::string Run(const std::string& library, const std::string& function,
                const std::vector<std::string>& json_arguments, uint32_t num_returns = 1) {
  std::vector<value::SharedBytes> arguments = Encoded(json_arguments);
  Outcome outcome = Invoke({.library = library,
                            .function = function,
                            .arguments = arguments,
                            .num_returns = num_returns});
  if (outcome.error) {
    return std::string(ErrorKindName(outcome.error->kind)) + ": " + outcome.error->message;
  }
  REQUIRE(outcome.results.size() == num_returns);
  return *value::ToJson(outcome.results[0]->ToString());
}

const std::string kLibrary = KILN_TEST_TASK_LIBRARY;

TEST_CASE("a function of the program is found by name", "[registry]") {
  CHECK(Run("", "Halves", {"9"}) == "4");
  CHECK(FindTask("", "Halves")->signature == "int");
  CHECK(detail::NameOf(reinterpret_cast<void*>(&Halves)).function == "Halves");
}

TEST_CASE("an unknown function is answered with the nearest name", "[registry]") {
  CHECK(Run("", "halves", {}) ==
        "FUNCTION_NOT_FOUND: no function halves in this program; did you mean Halves?");
  CHECK_THAT(Run("", "SomethingElse", {}),
             Catch::Contains("; it has ") && Catch::Contains("Halves"));
  REQUIRE(LoadLibrary(kLibrary).ok());
  CHECK(Run(kLibrary, "Ad", {}) ==
        "FUNCTION_NOT_FOUND: no function Ad in task library " + kLibrary + "; did you mean Add?");
  CHECK(Run(kLibrary, "SomethingElse", {}) ==
        "FUNCTION_NOT_FOUND: no function SomethingElse in task library " + kLibrary +
            "; it has Add, Fail, Shared, StopWhenAsked, geometry::Area");
}

TEST_CASE("two functions of one name are reported when called", "[registry]") {
  CHECK(Run("", "Clash", {"1"}) ==
        "FUNCTION_NOT_FOUND: this program has two functions registered as Clash; give one of them "
        "another name or a namespace");
}

TEST_CASE("a task library is loaded when first named, its names apart from others", "[registry]") {
  CHECK(Run(kLibrary, "Add", {"1", "2"}) == "3");
  CHECK(Run(kLibrary, "geometry::Area", {"2", "1.5"}) == "3.0");
  CHECK(Run(kLibrary, "Shared", {}) == "1");
  CHECK(Run("", "Shared", {}) == "2");
  CHECK(ListTasks(kLibrary).size() == 5);
  CHECK(ListTasks("/no/such.so").empty());
}

TEST_CASE("arguments that do not fit are told with their position", "[registry]") {
  CHECK(Run(kLibrary, "Add", {"1", "\"x\""}) ==
        "INVALID_ARGUMENTS: argument 2 of Add(int, int): expected int, got string \"x\"");
  CHECK(Run(kLibrary, "Add", {"null", "\"x\""}) ==
        "INVALID_ARGUMENTS: argument 1 of Add(int, int): expected int, got null");
  CHECK(Run(kLibrary, "Add", {"1"}) ==
        "INVALID_ARGUMENTS: Add(int, int): expected 2 arguments, got 1");
  CHECK(Run(kLibrary, "Add", {"1", "2"}, 3) ==
        "INVALID_ARGUMENTS: Add(int, int): num_returns is 3, but the function returns neither a "
        "vector nor a tuple");
  CHECK(Run(kLibrary, "Fail", {"\"x\""}, 2) ==
        "INVALID_ARGUMENTS: Fail(std::string): num_returns is given, but the function returns "
        "nothing");
}

TEST_CASE("a library that cannot be loaded is told with the reason", "[registry]") {
  testing::TempDir dir;
  CHECK(LoadLibrary("lib.so").code() == Code::kInvalidArgument);
  CHECK(LoadLibrary(dir / "missing.so").code() == Code::kNotFound);
  CHECK_THAT(
      Run(dir / "missing.so", "Add", {}),
      Catch::StartsWith("FUNCTION_NOT_FOUND: cannot load task library " + (dir / "missing.so")));
  testing::WriteFile(dir / "text.so", "no library");
  Status status = LoadLibrary(dir / "text.so");
  CHECK(status.code() == Code::kFailedPrecondition);
  CHECK_THAT(status.message(), Catch::Contains("text.so"));
}

TEST_CASE("a library replaced on disk is stale", "[registry]") {
  testing::TempDir dir;
  std::string path = dir / "library.so";
  std::filesystem::copy_file(kLibrary, path);
  CHECK_FALSE(IsStale(path));
  REQUIRE(LoadLibrary(path).ok());
  REQUIRE(LoadLibrary(path).ok());
  CHECK_FALSE(IsStale(path));
  std::filesystem::copy_file(kLibrary, dir / "new.so");
  std::filesystem::rename(dir / "new.so", path);
  CHECK(IsStale(path));
  std::filesystem::remove(path);
  CHECK(IsStale(path));
}

Outcome Call(const std::string& library, const std::string& function,
             const std::atomic<bool>* cancelled = nullptr) {
  Invocation invocation{.library = library, .function = function, .name = "my task"};
  invocation.cancelled = cancelled;
  return Invoke(invocation);
}

TEST_CASE("an exception of a library's own type arrives with its type", "[registry]") {
  std::vector<value::SharedBytes> arguments = Encoded({"\"boom\""});
  Outcome outcome = Invoke({.library = kLibrary, .function = "Fail", .arguments = arguments});
  REQUIRE(outcome.error);
  CHECK(outcome.error->kind == ErrorKind::kTaskFailed);
  CHECK(outcome.error->type == "LibraryError");
  CHECK(outcome.error->message == "boom");
  CHECK(outcome.error->task == "Fail");
  CHECK(outcome.error->worker_pid == ::getpid());
  CHECK(outcome.retryable);
}

TEST_CASE("a task sees its token, and only its own", "[registry]") {
  std::atomic<bool> cancelled = false;
  CHECK_FALSE(Call(kLibrary, "StopWhenAsked", &cancelled).error);
  cancelled = true;
  Outcome outcome = Call(kLibrary, "StopWhenAsked", &cancelled);
  REQUIRE(outcome.error);
  CHECK(outcome.error->kind == ErrorKind::kCancelled);
  CHECK(outcome.error->task == "my task");
  CHECK_FALSE(outcome.retryable);
  CHECK_FALSE(Cancelled());
  CHECK_FALSE(Call(kLibrary, "StopWhenAsked").error);
}

TEST_CASE("an error of kiln that a task lets pass keeps its kind", "[registry]") {
  CHECK(Call("", "ThrowsCancelled").error->kind == ErrorKind::kCancelled);
  CHECK(Call("", "FillsStore").error->kind == ErrorKind::kObjectStoreFull);
  Outcome timeout = Call("", "WaitsTooLong");
  CHECK(timeout.error->kind == ErrorKind::kTaskFailed);
  CHECK(timeout.error->type == "kiln::GetTimeoutError");
  CHECK(timeout.error->message == "not there");
}

TEST_CASE("an argument that is an error is the task's error", "[registry]") {
  ErrorInfo info{ErrorKind::kWorkerCrashed, "", "killed", "Inner", 7, {}};
  auto bytes = std::make_shared<const std::string>(EncodeError(info));
  std::vector<value::SharedBytes> arguments = {
      {bytes, reinterpret_cast<const std::byte*>(bytes->data()), bytes->size()}};
  Outcome outcome = Invoke({.function = "Halves", .arguments = arguments});
  REQUIRE(outcome.error);
  CHECK(outcome.error->kind == ErrorKind::kWorkerCrashed);
  CHECK(outcome.error->task == "Inner");
  CHECK(outcome.error->chain == std::vector<std::string>{"Halves"});
}

TEST_CASE("a scope of a task restores the one around it", "[registry]") {
  auto outer = std::make_shared<testing::FakeRuntime>();
  auto inner = std::make_shared<testing::FakeRuntime>();
  std::atomic<bool> cancelled = true;
  {
    detail::TaskScope outer_scope(outer, &cancelled);
    {
      detail::TaskScope inner_scope(inner, nullptr);
      CHECK(detail::CurrentTaskRuntime() == inner);
      CHECK_FALSE(Cancelled());
    }
    CHECK(detail::CurrentTaskRuntime() == outer);
    CHECK(Cancelled());
  }
  CHECK(detail::CurrentTaskRuntime() == nullptr);
}

}  // namespace
}  // namespace kiln::worker
