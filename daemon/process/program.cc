#include "daemon/process/program.h"

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "daemon/process/environment.h"

namespace kiln::process {
namespace {

// Returns: nullptr if it is not set, or empty.
const char* FindVariable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

std::filesystem::path OwnDirectory() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

// Where the package kiln is; of two places that have none the installed one, for the error to name.
std::string PackageDirectory() {
  const std::filesystem::path above = OwnDirectory().parent_path();
  std::error_code error;
  const std::filesystem::path built = above / "python";
  if (std::filesystem::is_directory(built / "kiln", error)) return built;
  return above / "lib" / "python3" / "dist-packages";
}

}  // namespace

Program LibraryHost() {
  Program host;
  host.env = OwnEnvironment();
  if (const char* binary = FindVariable("KILN_WORKER_BINARY")) {
    host.executable = binary;
  } else {
    host.executable = OwnDirectory() / "kiln-worker";
  }
  host.args = {host.executable};
  return host;
}

Program PythonHost(const std::string& root) {
  Program host;
  const char* interpreter = FindVariable("KILN_PYTHON");
  host.executable = interpreter != nullptr ? interpreter : KILN_PYTHON_EXECUTABLE;
  host.args = {host.executable, "-m", "kiln.worker"};
  host.env = OwnEnvironment();
  std::string path = PackageDirectory();
  if (const char* more = FindVariable("PYTHONPATH")) path += std::string(":") + more;
  SetVariable(&host.env, "PYTHONPATH", path);
  host.cwd = "/";
  host.fork_server = true;
  const nlohmann::json setup{{"root", root}};
  host.setup = setup.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return host;
}

}  // namespace kiln::process
