// Programs that cannot be workers.
#include <catch2/catch.hpp>
#include <cstdio>

#include "tests/cluster/files.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

int One() {
  return 1;
}
KILN_TASK(One);

// As a worker it dies before it connects.
int DieAtStart(const DriverProgram::Arguments& arguments) {
  Append(arguments[0], "x");
  std::fprintf(stderr, "my licence is missing\n");
  return 7;
}

const DriverProgram kStillborn(
    "stillborn",
    [](const Session& session, const DriverProgram::Arguments&) {
      try {
        session.Get(session.Submit(One), kDeadline);
      } catch (const WorkerCrashedError& error) {
        std::printf("%s\n", error.what());
        return 42;
      }
      return 1;
    },
    DieAtStart);

}  // namespace

TEST_CASE("who waits for workers that die at start learns why, and starts are few",
          "[worker-start]") {
  TestHead head;
  Child driver = head.Drive("stillborn", {head.File("starts")});
  CHECK(driver.AwaitExitCode() == 42);
  INFO(driver.Output());
  CHECK(driver.Output().find("exit code 7") != std::string::npos);
  CHECK(driver.Output().find("my licence is missing") != std::string::npos);
  CHECK(SizeOf(head.File("starts")) >= 1);
  CHECK(SizeOf(head.File("starts")) <= 20);
  // The head is none the worse for it.
  Session session = head.Connect();
  CHECK(session.Get(session.Submit(One)) == 1);
}

TEST_CASE("a program that cannot start does not hold up others", "[worker-start]") {
  TestHead head;
  Session session = head.Connect();
  Child driver = head.Drive("stillborn", {head.File("starts")});
  REQUIRE(AwaitFile(head.File("starts")));
  for (int i = 0; i < 50; ++i) CHECK(session.Get(session.Submit(One), kDeadline) == 1);
  CHECK(driver.AwaitExitCode() == 42);
}

}  // namespace kiln::testing
