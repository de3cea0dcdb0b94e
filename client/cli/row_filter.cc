#include "client/cli/row_filter.h"

#include <algorithm>

namespace kiln::cli {

Result<RowFilter> RowFilter::Parse(const std::vector<std::string>& filters,
                                   const std::vector<std::string>& columns) {
  RowFilter parsed;
  for (const std::string& filter : filters) {
    size_t equals = filter.find('=');
    bool differs = equals != std::string::npos && equals > 0 && filter[equals - 1] == '!';
    std::string column = filter.substr(0, differs ? equals - 1 : equals);
    if (equals == std::string::npos ||
        std::find(columns.begin(), columns.end(), column) == columns.end()) {
      std::string all;
      for (const std::string& name : columns) all += (all.empty() ? "" : ", ") + name;
      return Status(Code::kInvalidArgument, "filter '" + filter + "' is not column=value or " +
                                                "column!=value; the columns are " + all);
    }
    parsed.conditions_.push_back({column, filter.substr(equals + 1), !differs});
  }
  return parsed;
}

bool RowFilter::Matches(const nlohmann::ordered_json& row) const {
  return std::all_of(conditions_.begin(), conditions_.end(), [&](const Condition& condition) {
    const auto& cell = row.at(condition.column);
    std::string text = cell.is_string() ? cell.get<std::string>() : cell.dump();
    return (text == condition.value) == condition.equal;
  });
}

}  // namespace kiln::cli
