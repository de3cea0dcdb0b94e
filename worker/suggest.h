// What to say of a name that nothing was registered under.
//
// Thread: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln::worker {

// Returns: "; did you mean Add?", or all names there are: "; it has Add, Fail", or "; it has no
//          <kind>".
std::string Suggest(const std::vector<std::string>& known, std::string_view name,
                    std::string_view kind);

// "this program" for the empty path, else "task library <path>".
std::string DescribeLibrary(std::string_view library);

}  // namespace kiln::worker
