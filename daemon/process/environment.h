// The environment of a process to be started.
//
// Thread: plain data.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln::process {

// This process's own, NAME=VALUE.
std::vector<std::string> OwnEnvironment();

// Sets a variable, in place of all of that name.
void SetVariable(std::vector<std::string>* env, std::string_view name, std::string_view value);
void RemoveVariable(std::vector<std::string>* env, std::string_view name);
bool HasVariable(const std::vector<std::string>& env, std::string_view name);

}  // namespace kiln::process
