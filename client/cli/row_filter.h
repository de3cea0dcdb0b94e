// `--filter column=value` for rows that the head does not filter itself.
//
// Thread: any; plain data.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/status.h"

namespace kiln::cli {

class RowFilter {
 public:
  // `columns`: the names there are. Errors: InvalidArgument (no '=', or no such column; names all).
  static Result<RowFilter> Parse(const std::vector<std::string>& filters,
                                 const std::vector<std::string>& columns);

  // All conditions hold. Requires: `row` has every column asked for.
  bool Matches(const nlohmann::ordered_json& row) const;

 private:
  struct Condition {
    std::string column;
    std::string value;
    bool equal;  // else: differs
  };
  std::vector<Condition> conditions_;
};

}  // namespace kiln::cli
