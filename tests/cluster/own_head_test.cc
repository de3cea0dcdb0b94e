// Programs that run without a head: each brings one along that ends with it.
#include <signal.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>

#include "tests/cluster/files.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

int Twice(int value) {
  return 2 * value;
}
KILN_TASK(Twice);

const DriverProgram kLoner("loner", [](const Session& session, const auto& arguments) {
  int result = session.Get(session.Submit(Twice, 21));
  std::printf("address=%s\nresult=%d\n", session.address().c_str(), result);
  std::fflush(stdout);
  if (arguments[0] == "stay") WaitUntil([] { return false; }, kDeadline);
  if (arguments[0] == "exit") std::exit(5);  // without the session's destructor
  return result == 42 ? 0 : 1;
});

Child StartLoner(const TempDir& dir, const std::string& how) {
  return Child({std::filesystem::read_symlink("/proc/self/exe"), "--driver", "loner", how},
               dir / how,
               {{"XDG_RUNTIME_DIR", dir.path()},
                {"KILN_SESSION_DIR", ""},
                {"KILN_ADDRESS", ""},
                {"KILN_HEAD_BINARY", BinaryPath("kiln-head")}});
}

bool NothingLeft(const TempDir& dir) {
  return WaitUntil([&] { return ProcessesNaming(dir.path()).empty(); }, kDeadline);
}

}  // namespace

TEST_CASE("a program without a head starts one that ends with it", "[own-head]") {
  TempDir dir;
  Child loner = StartLoner(dir, "return");
  CHECK(loner.AwaitExitCode() == 0);
  INFO(loner.Output());
  CHECK(loner.Output().find("result=42") != std::string::npos);
  CHECK(NothingLeft(dir));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir / "kiln")) {
    FAIL_CHECK("left: " << entry.path());
  }
}

TEST_CASE("a program that exits in its middle leaves no head", "[own-head]") {
  TempDir dir;
  Child loner = StartLoner(dir, "exit");
  CHECK(loner.AwaitExitCode() == 5);
  CHECK(NothingLeft(dir));
}

TEST_CASE("a program that is killed leaves no head, and the next one cleans its directory",
          "[own-head]") {
  TempDir dir;
  Child killed = StartLoner(dir, "stay");
  REQUIRE(killed.AwaitOutput("result=42"));
  REQUIRE(ProcessesNaming(dir.path()).size() >= 3);
  killed.Kill(SIGKILL);
  CHECK(killed.AwaitExitCode() == -SIGKILL);
  CHECK(NothingLeft(dir));
  Child next = StartLoner(dir, "return");
  CHECK(next.AwaitExitCode() == 0);
  CHECK(NothingLeft(dir));
  CHECK(std::filesystem::is_empty(dir / "kiln"));
}

TEST_CASE("two programs without a head have one each", "[own-head]") {
  TempDir dir;
  Child first = StartLoner(dir, "stay");
  REQUIRE(first.AwaitOutput("result=42"));
  Child second = StartLoner(dir, "return");
  CHECK(second.AwaitExitCode() == 0);
  auto address = [](const Child& child) {
    std::string output = child.Output();
    size_t begin = output.find("address=");
    return output.substr(begin, output.find('\n', begin) - begin);
  };
  CHECK(address(first) != address(second));
  CHECK(IsAlive(first.pid()));
  first.Kill(SIGKILL);
  CHECK(NothingLeft(dir));
}

}  // namespace kiln::testing
