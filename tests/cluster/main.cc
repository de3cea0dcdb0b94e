// The scenarios' program: the tests, their drivers, and the workers of both.
#define CATCH_CONFIG_RUNNER
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/cluster/test_head.h"

int main(int argc, char** argv) {
  // Scenarios let processes die in earnest: no sanitizer shall turn that into exit code 1, and no
  // core file be left. Workers and heads inherit both.
  rlimit core;
  getrlimit(RLIMIT_CORE, &core);
  core.rlim_cur = 0;
  setrlimit(RLIMIT_CORE, &core);
  const char* given = std::getenv("ASAN_OPTIONS");
  std::string options = given ? std::string(given) + ":" : "";
  setenv("ASAN_OPTIONS", (options + "handle_segv=0:handle_abort=0:handle_sigbus=0").c_str(), 1);

  bool is_driver = argc > 1 && std::strcmp(argv[1], "--driver") == 0;
  if (is_driver || std::getenv("KILN_WORKER")) return kiln::testing::RunDriverProgram(argc, argv);
  kiln::testing::SetArguments(argc, argv);
  return Catch::Session().run(argc, argv);
}
