#include "common/session_dir.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "tests/unit/temp_dir.h"

namespace kiln {
namespace {

using testing::TempDir;
using testing::WriteFile;

// Sets a variable for one test; nullptr unsets it.
class ScopedEnv {
 public:
  ScopedEnv(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value == nullptr ? unsetenv(name) : setenv(name, value, 1);
  }
  ~ScopedEnv() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

// What a running head leaves for others to find.
class FakeHead {
 public:
  explicit FakeHead(const std::string& dir, const std::string& tcp_address = "") : paths_(dir) {
    lock_fd_ = open(paths_.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    REQUIRE(fcntl(lock_fd_, F_OFD_SETLK, &lock) == 0);
    info_.pid = getpid();
    info_.version = "0.1";
    info_.address = "unix:" + paths_.head_socket;
    info_.tcp_address = tcp_address;
    info_.session_dir = paths_.dir;
    info_.log_dir = paths_.logs;
    info_.num_workers = 2;
    info_.num_cpus = 1.5;
    info_.store_bytes = uint64_t{5} << 40;
    info_.started_ms = 1'700'000'000'123;
    WriteFile(paths_.info, ToJson(info_));
  }
  ~FakeHead() { close(lock_fd_); }
  const SessionPaths& paths() const { return paths_; }
  const HeadInfo& info() const { return info_; }

 private:
  SessionPaths paths_;
  HeadInfo info_;
  int lock_fd_;
};

void MakeSocket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  close(fd);
}

TEST_CASE("the default session directory is in the user's runtime directory if there is one") {
  TempDir temp;
  const std::string fallback = "/tmp/kiln-" + std::to_string(geteuid());
  {
    ScopedEnv env("XDG_RUNTIME_DIR", temp.path().c_str());
    CHECK(DefaultSessionDir() == temp / "kiln");
  }
  for (const char* value : {static_cast<const char*>(nullptr), "", "relative", "/nowhere/at/all"}) {
    ScopedEnv env("XDG_RUNTIME_DIR", value);
    CHECK(DefaultSessionDir() == fallback);
  }
  if (geteuid() == 0) {  // as after su: the variable still names the other user's directory
    REQUIRE(chown(temp.path().c_str(), 12'345, 12'345) == 0);
    ScopedEnv env("XDG_RUNTIME_DIR", temp.path().c_str());
    CHECK(DefaultSessionDir() == fallback);
  }
}

TEST_CASE("paths of a session directory are absolute and normal") {
  const std::string here = std::filesystem::current_path().string();
  CHECK(SessionPaths("some/dir/").dir == here + "/some/dir");
  CHECK(SessionPaths("/a/../b//c").head_socket == "/b/c/head.sock");
  CHECK(SessionPaths("/b").logs == "/b/logs");
}

TEST_CASE("what a head says about itself survives JSON") {
  TempDir temp;
  const FakeHead head(temp.path(), "127.0.0.1:4711");
  const Result<HeadInfo> read = ParseHeadInfo(ToJson(head.info()));
  REQUIRE(read.ok());
  CHECK(ToJson(read.value()) == ToJson(head.info()));
  CHECK(read.value().store_bytes == uint64_t{5} << 40);
  CHECK(read.value().num_cpus == 1.5);
  for (const char* bad : {"", "{", "[]", "{}", "null", R"({"pid": "7"})"}) {
    const Result<HeadInfo> result = ParseHeadInfo(bad);
    REQUIRE_FALSE(result.ok());
    CHECK(result.status().code() == Code::kDataLoss);
  }
}

TEST_CASE("a head is found while its lock is held and its info is there") {
  TempDir temp;
  std::optional<FakeHead> head(temp.path());
  const Result<HeadInfo> found = FindHead(temp.path());
  REQUIRE(found.ok());
  CHECK(found.value().pid == getpid());

  SECTION("a head without info is starting") {
    std::filesystem::remove(head->paths().info);
    const Result<HeadInfo> starting = FindHead(temp.path());
    REQUIRE_FALSE(starting.ok());
    CHECK(starting.status().code() == Code::kNotFound);
    CHECK(starting.status().message().find("starting") != std::string::npos);
  }
  SECTION("a killed head is none, and asking takes no lock") {
    head.reset();
    const Result<HeadInfo> killed = FindHead(temp.path());
    REQUIRE_FALSE(killed.ok());
    CHECK(killed.status().code() == Code::kNotFound);
    CHECK(killed.status().message().find("kiln start --head --session-dir " + temp.path()) !=
          std::string::npos);
    FakeHead next(temp.path());
  }
  SECTION("damaged info is told") {
    WriteFile(head->paths().info, "{");
    CHECK(FindHead(temp.path()).status().code() == Code::kDataLoss);
  }
}

TEST_CASE("a directory of somebody else, or a link, leads to no head") {
  TempDir temp;
  FakeHead head(temp.path());
  const std::string link = temp / "link";
  std::filesystem::create_directory_symlink(temp.path(), link);
  CHECK(FindHead(link).status().code() == Code::kPermissionDenied);
  CHECK(FindHead(temp / "missing").status().code() == Code::kNotFound);
  if (geteuid() == 0) {
    REQUIRE(chown(temp.path().c_str(), 12'345, 12'345) == 0);
    const Result<HeadInfo> foreign = FindHead(temp.path());
    REQUIRE_FALSE(foreign.ok());
    CHECK(foreign.status().code() == Code::kPermissionDenied);
    CHECK(foreign.status().message().find("12345") != std::string::npos);
  }
}

TEST_CASE("an endpoint comes from the arguments, then the environment, then the default") {
  TempDir temp;
  TempDir other;
  ScopedEnv runtime("XDG_RUNTIME_DIR", nullptr);
  ScopedEnv address("KILN_ADDRESS", nullptr);
  ScopedEnv dir("KILN_SESSION_DIR", nullptr);
  ScopedEnv token("KILN_TOKEN", nullptr);
  FakeHead head(temp.path());
  FakeHead other_head(other.path());
  MakeSocket(head.paths().head_socket);
  const auto target = [](const std::string& address, const std::string& dir) {
    const Result<Endpoint> endpoint = ResolveEndpoint(address, dir);
    return endpoint.ok() ? endpoint.value().target : endpoint.status().message();
  };

  CHECK(target("", temp.path()) == head.info().address);
  CHECK(target(head.info().address, other.path()) == head.info().address);
  CHECK(target("unix://" + head.paths().head_socket, "") == head.info().address);
  {
    ScopedEnv environment("KILN_SESSION_DIR", other.path().c_str());
    CHECK(target("", "") == other_head.info().address);
    ScopedEnv both("KILN_ADDRESS", head.info().address.c_str());
    CHECK(target("", "") == head.info().address);
    CHECK(target("", other.path()) == other_head.info().address);
  }
  ScopedEnv default_dir("XDG_RUNTIME_DIR", temp.path().c_str());
  CHECK(ResolveEndpoint("", "").status().code() == Code::kNotFound);
}

TEST_CASE("a TCP endpoint takes its token from the environment or from the head of that address") {
  TempDir temp;
  ScopedEnv environment("KILN_TOKEN", nullptr);
  FakeHead head(temp.path(), "127.0.0.1:4711");
  WriteFile(head.paths().token, "secret\n");
  const auto token = [&](const std::string& address) {
    const Result<Endpoint> endpoint = ResolveEndpoint(address, temp.path());
    REQUIRE(endpoint.ok());
    CHECK(endpoint.value().target == address);
    return endpoint.value().token;
  };
  CHECK(token("127.0.0.1:4711") == "secret");
  CHECK(token("localhost:4711") == "secret");
  CHECK(token("127.0.0.1:4712").empty());
  CHECK(token("[::1]:4711").empty());
  ScopedEnv given("KILN_TOKEN", "given");
  CHECK(token("127.0.0.1:4711") == "given");
}

TEST_CASE("an address that is none is refused") {
  for (const char* address : {"nonsense", "host", "host:", ":1", "host:0", "host:65536", "host:1x",
                              "::1:5", "a b:5", "http://host:5"}) {
    INFO(address);
    const Result<Endpoint> endpoint = ResolveEndpoint(address, "/nowhere");
    REQUIRE_FALSE(endpoint.ok());
    CHECK(endpoint.status().code() == Code::kInvalidArgument);
  }
  CHECK(ResolveEndpoint("unix:/nowhere/head.sock", "").status().code() == Code::kNotFound);
}

}  // namespace
}  // namespace kiln
