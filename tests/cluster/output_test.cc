// What tasks print reaches the program that submitted them.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <iostream>

#include "tests/cluster/files.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

// Without std::endl: nobody but the worker flushes it.
int Print(const std::string& text) {
  std::cout << text;
  return 0;
}
KILN_TASK(Print);

// While it lives, this process's standard error goes to a file.
class StandardErrorTo {
 public:
  explicit StandardErrorTo(const std::string& path) : saved_(dup(STDERR_FILENO)) {
    int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(fd, STDERR_FILENO);
    close(fd);
  }
  ~StandardErrorTo() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
  }

 private:
  int saved_;
};

}  // namespace

TEST_CASE("what a task prints is shown under its name before Get returns", "[output]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  for (int i = 0; i < 50; ++i) {
    std::string path = head.File("stderr-" + std::to_string(i)), name = "n" + std::to_string(i);
    {
      StandardErrorTo file(path);
      session.Get(session.With({.name = name}).Submit(Print, "one\ntwo\n"), kDeadline);
    }
    std::string shown = ReadFile(path), start = "(" + name + " pid=";
    CAPTURE(shown);
    REQUIRE(shown.starts_with(start));
    CHECK(shown.find(") one\n" + start) != std::string::npos);
    CHECK(shown.ends_with(") two\n"));
  }
}

}  // namespace kiln::testing
