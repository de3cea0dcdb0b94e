// From an error as data to the exception of the public API.
#pragma once

#include "common/value/error_value.h"

namespace kiln {

// Throws: the class of error.h that stands for error.kind.
[[noreturn]] void ThrowError(const ErrorInfo& error);

}  // namespace kiln
