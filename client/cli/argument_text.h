// Arguments of commands that have a grammar of their own: refs, JSON texts, resources.
//
// Thread: any; plain functions.
// Errors: InvalidArgument, all of them, with what is wrong, where, and how it is written.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/status.h"

namespace kiln::cli {

// Requires of each: 16 hexadecimal digits.
Status CheckRefs(const std::vector<std::string>& refs);

// `what`: "argument 2", for the message.
Status CheckJson(const std::string& text, const std::string& what);

// '{"disk": 2}' -> {{"disk", 2}}; empty text is no resources.
Result<std::map<std::string, double>> ParseResources(const std::string& text);

// "lib.so:Add" -> absolute path and name; "package.module:name" and "path/script.py:name",
// functions of Python, -> "python:FOLDER" and "module:name". Errors also: NotFound (no such file).
struct FunctionRef {
  std::string library;
  std::string function;
};
Result<FunctionRef> ParseFunctionRef(const std::string& text);

}  // namespace kiln::cli
