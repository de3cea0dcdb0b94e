#include "daemon/process/environment.h"

#include <unistd.h>

#include <algorithm>

namespace kiln::process {
namespace {

bool IsNamed(std::string_view variable, std::string_view name) {
  return variable.size() > name.size() && variable.starts_with(name) &&
         variable[name.size()] == '=';
}

}  // namespace

std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> env;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    env.emplace_back(*variable);
  }
  return env;
}

void SetVariable(std::vector<std::string>* env, std::string_view name, std::string_view value) {
  RemoveVariable(env, name);
  std::string variable(name);
  variable += '=';
  variable += value;
  env->push_back(std::move(variable));
}

void RemoveVariable(std::vector<std::string>* env, std::string_view name) {
  std::erase_if(*env, [&](const std::string& variable) { return IsNamed(variable, name); });
}

bool HasVariable(const std::vector<std::string>& env, std::string_view name) {
  return std::any_of(env.begin(), env.end(),
                     [&](const std::string& variable) { return IsNamed(variable, name); });
}

}  // namespace kiln::process
