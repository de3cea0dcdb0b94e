#include "common/session_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

namespace kiln {
namespace {

constexpr std::string_view kUnixScheme = "unix:";

std::string Absolute(const std::string& dir) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(dir, error).lexically_normal();
  if (error) return dir;
  if (!path.has_filename() && path.has_relative_path()) path = path.parent_path();  // "dir/"
  return path.string();
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Status NoHead(const std::string& dir) {
  std::string start = "kiln start --head";
  if (dir != DefaultSessionDir()) start += " --session-dir " + dir;
  return Status(Code::kNotFound,
                "no head is running in " + dir + "; start one with \"" + start + "\"");
}

// A directory that somebody else made could lead a client to somebody else's head.
Status CheckOwner(const std::string& dir) {
  struct stat info;
  if (lstat(dir.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return NoHead(dir);
    return Status(Code::kPermissionDenied, "cannot look into " + dir + ": " + std::strerror(errno));
  }
  if (S_ISLNK(info.st_mode)) {
    return Status(Code::kPermissionDenied,
                  dir + " is a symbolic link; name the directory itself with --session-dir");
  }
  if (info.st_uid != geteuid()) {
    return Status(Code::kPermissionDenied, dir + " belongs to user " + std::to_string(info.st_uid) +
                                               ", you are user " + std::to_string(geteuid()) +
                                               "; choose another with --session-dir");
  }
  return Status();
}

// HOST:PORT, with an IPv6 host in brackets.
bool IsTcpAddress(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == address.npos || colon == 0) return false;
  const std::string_view host = address.substr(0, colon);
  const std::string_view port = address.substr(colon + 1);
  if (host.find_first_of(" /") != host.npos) return false;
  if (host.find(':') != host.npos && (host.front() != '[' || host.back() != ']')) return false;
  int number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return error == std::errc() && end == port.data() + port.size() && number > 0 && number < 65536;
}

Result<Endpoint> UnixEndpoint(const std::string& address) {
  std::string_view path = std::string_view(address).substr(kUnixScheme.size());
  if (path.substr(0, 2) == "//") path.remove_prefix(2);
  const std::string file(path);
  struct stat info;
  if (stat(file.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) {
    return Status(Code::kNotFound, "no head listens at " + address +
                                       "; \"kiln start --head\" starts one and tells its address");
  }
  return Endpoint{std::string(kUnixScheme) + file, ""};
}

// Two spellings of one address, as people type them.
std::string NumericHost(std::string address) {
  constexpr std::string_view kLocalhost = "localhost:";
  if (address.starts_with(kLocalhost)) address.replace(0, kLocalhost.size(), "127.0.0.1:");
  return address;
}

std::string TcpToken(const std::string& address, const std::string& session_dir) {
  if (std::string token = Environment("KILN_TOKEN"); !token.empty()) return token;
  const Result<HeadInfo> head = FindHead(session_dir);
  if (!head.ok() || head.value().tcp_address != NumericHost(address)) return "";
  std::string token = ReadFile(SessionPaths(session_dir).token).value_or("");
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  return token;
}

}  // namespace

std::string DefaultSessionDir() {
  const std::string runtime_dir = Environment("XDG_RUNTIME_DIR");
  struct stat info;
  if (!runtime_dir.empty() && runtime_dir.front() == '/' && stat(runtime_dir.c_str(), &info) == 0 &&
      S_ISDIR(info.st_mode) && info.st_uid == geteuid()) {
    return Absolute(runtime_dir + "/kiln");
  }
  return "/tmp/kiln-" + std::to_string(geteuid());
}

SessionPaths::SessionPaths(std::string directory)
    : dir(Absolute(directory)),
      lock(dir + "/head.lock"),
      info(dir + "/head.json"),
      head_socket(dir + "/head.sock"),
      store_socket(dir + "/store.sock"),
      rings_socket(dir + "/rings.sock"),
      token(dir + "/token"),
      logs(dir + "/logs") {}

std::string ToJson(const HeadInfo& info) {
  const nlohmann::json json = {
      {"pid", info.pid},
      {"version", info.version},
      {"address", info.address},
      {"tcp_address", info.tcp_address},
      {"session_dir", info.session_dir},
      {"log_dir", info.log_dir},
      {"num_workers", info.num_workers},
      {"num_cpus", info.num_cpus},
      {"store_bytes", info.store_bytes},
      {"started_ms", info.started_ms},
  };
  // A path need not be UTF-8, JSON must be.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<HeadInfo> ParseHeadInfo(const std::string& json) {
  try {
    const nlohmann::json parsed = nlohmann::json::parse(json);
    HeadInfo info;
    parsed.at("pid").get_to(info.pid);
    parsed.at("version").get_to(info.version);
    parsed.at("address").get_to(info.address);
    parsed.at("tcp_address").get_to(info.tcp_address);
    parsed.at("session_dir").get_to(info.session_dir);
    parsed.at("log_dir").get_to(info.log_dir);
    parsed.at("num_workers").get_to(info.num_workers);
    parsed.at("num_cpus").get_to(info.num_cpus);
    parsed.at("store_bytes").get_to(info.store_bytes);
    parsed.at("started_ms").get_to(info.started_ms);
    return info;
  } catch (const nlohmann::json::exception& error) {
    return Status(Code::kDataLoss, std::string("not the description of a head: ") + error.what());
  }
}

bool IsLocked(const std::string& lock_path) {
  const int fd = open(lock_path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return false;
  struct flock query {};
  query.l_type = F_RDLCK;
  query.l_whence = SEEK_SET;
  const bool locked = fcntl(fd, F_OFD_GETLK, &query) == 0 && query.l_type != F_UNLCK;
  close(fd);
  return locked;
}

Result<HeadInfo> FindHead(const std::string& dir) {
  const SessionPaths paths(dir);
  if (Status status = CheckOwner(paths.dir); !status.ok()) return status;
  if (!IsLocked(paths.lock)) return NoHead(paths.dir);
  const std::optional<std::string> json = ReadFile(paths.info);
  if (!json) {
    return Status(Code::kNotFound,
                  "the head in " + paths.dir + " is starting or stopping; try again in a moment");
  }
  Result<HeadInfo> info = ParseHeadInfo(*json);
  if (!info.ok()) {
    return Status(Code::kDataLoss, paths.info + " is damaged (" + info.status().message() +
                                       "); stop that head and start it again");
  }
  return info;
}

Result<Endpoint> ResolveEndpoint(const std::string& address, const std::string& session_dir) {
  std::string dir = session_dir.empty() ? Environment("KILN_SESSION_DIR") : session_dir;
  if (dir.empty()) dir = DefaultSessionDir();
  std::string chosen = address;
  if (chosen.empty() && session_dir.empty()) chosen = Environment("KILN_ADDRESS");
  if (chosen.empty()) {
    const Result<HeadInfo> head = FindHead(dir);
    if (!head.ok()) return head.status();
    return Endpoint{head.value().address, ""};
  }
  if (chosen.starts_with(kUnixScheme)) return UnixEndpoint(chosen);
  if (IsTcpAddress(chosen)) return Endpoint{chosen, TcpToken(chosen, dir)};
  return Status(Code::kInvalidArgument, "\"" + chosen +
                                            "\" is no address: write unix:PATH or HOST:PORT, "
                                            "as \"kiln start --head\" prints it");
}

}  // namespace kiln
