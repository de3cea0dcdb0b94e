#include "client/cli/argument_text.h"

#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "common/ids.h"

namespace kiln::cli {
namespace {

namespace fs = std::filesystem;

// "package.module": what Python can import, and no path.
bool IsModuleName(const std::string& text) {
  bool begins = true;  // an identifier begins here
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = std::isalpha(byte) != 0 || c == '_' || byte >= 0x80;
    if (c == '.' ? begins : !(letter || (!begins && std::isdigit(byte) != 0))) return false;
    begins = c == '.';
  }
  return !begins && !text.ends_with(".so") && !text.ends_with(".py");
}

Status Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

}  // namespace

Status CheckRefs(const std::vector<std::string>& refs) {
  for (const std::string& ref : refs) {
    if (!ParseRef(ref)) {
      return Invalid("'" + ref + "' is not a ref; refs are 16 hexadecimal digits, as printed by " +
                     "'kiln put', 'kiln run --detach' and 'kiln list objects'");
    }
  }
  return {};
}

Status CheckJson(const std::string& text, const std::string& what) {
  try {
    const nlohmann::json parsed = nlohmann::json::parse(text);
    return {};
  } catch (const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    std::string reason = error.what();
    size_t bracket = reason.find("] ");
    if (bracket != std::string::npos) reason.erase(0, bracket + 2);
    return Invalid(what + " is not JSON: " + reason + "; text is written in double quotes inside " +
                   "single ones: '\"text\"'");
  }
}

Result<std::map<std::string, double>> ParseResources(const std::string& text) {
  std::map<std::string, double> resources;
  if (text.empty()) return resources;
  Status valid = CheckJson(text, "--resources");
  if (!valid.ok()) return valid;
  nlohmann::json parsed = nlohmann::json::parse(text);
  if (!parsed.is_object()) {
    return Invalid("--resources is not a JSON object; write '{\"disk\": 2}'");
  }
  for (const auto& [name, amount] : parsed.items()) {
    if (name.empty() || !amount.is_number() || amount.get<double>() < 0) {
      return Invalid("resource '" + name + "' is " + amount.dump() +
                     "; every resource needs a name and a number of 0 or more: '{\"disk\": 2}'");
    }
    if (name == "CPU" || name == "num_cpus" || name == "memory" || name == "object_store_memory") {
      return Invalid("'" + name +
                     "' is no custom resource; it has an option of its own, see --help");
    }
    resources[name] = amount.get<double>();
  }
  return resources;
}

Result<FunctionRef> ParseFunctionRef(const std::string& text) {
  size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
    return Invalid("'" + text +
                   "' does not name a function; write LIBRARY.so:FUNCTION or MODULE:FUNCTION");
  }
  const std::string file = text.substr(0, colon);
  const std::string function = text.substr(colon + 1);
  std::error_code error;
  const fs::path path = fs::absolute(file, error).lexically_normal();
  if (IsModuleName(file) && !fs::exists(path, error)) {
    return FunctionRef{"python:" + fs::current_path(error).string(), text};
  }
  if (!fs::exists(path, error)) {
    return Status(Code::kNotFound, "there is no task library " + path.string() +
                                       "; build it, or give its path as LIBRARY.so:FUNCTION");
  }
  if (path.extension() == ".py") {
    return FunctionRef{"python:" + path.parent_path().string(),
                       path.stem().string() + ":" + function};
  }
  return FunctionRef{path.string(), function};
}

}  // namespace kiln::cli
