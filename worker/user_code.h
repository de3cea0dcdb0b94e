// Runs functions of users and turns what they throw into errors. The one place where exceptions of
// user code are caught.
//
// Thread: the one that shall run the function; several at a time are fine.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/value/error_value.h"
#include "kiln/detail/value.h"
#include "worker/invoke.h"

namespace kiln::worker {

// For messages about arguments: "", "Add", "int, int"; of a method also its class.
struct Signature {
  std::string_view class_name;
  std::string_view name;
  std::string_view parameters;
};

// Returns: an outcome with this error.
Outcome Failed(const Invocation& invocation, ErrorKind kind, std::string message,
               std::string type = {});

// Throws: what an argument that is an error stands for.
std::vector<detail::Incoming> ReadArguments(const Invocation& invocation);

// What is called and how its result is split, from what the wire says; see detail::kEachSuffix.
struct Target {
  std::string_view name;
  bool each = false;
};
Target TargetOf(const Invocation& invocation);

// Blocks:  as long as `body` runs, which calls what `callee` describes.
// Returns: the results of `body`; or the error for what it threw, see Invoke.
Outcome RunUserCode(const Invocation& invocation, const Signature& callee,
                    const std::function<std::vector<std::shared_ptr<value::Parts>>()>& body);

}  // namespace kiln::worker
