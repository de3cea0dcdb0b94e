#include "worker/suggest.h"

#include "common/nearest.h"

namespace kiln::worker {

std::string Suggest(const std::vector<std::string>& known, std::string_view name,
                    std::string_view kind) {
  constexpr size_t kNamesShown = 20;
  const std::string nearest = Nearest(std::string(name), known);
  if (!nearest.empty()) return "; did you mean " + nearest + "?";
  std::string names;
  for (size_t i = 0; i < known.size(); ++i) {
    if (i == kNamesShown) return "; it has " + names + ", ...";
    names += (names.empty() ? "" : ", ") + known[i];
  }
  return names.empty() ? "; it has no " + std::string(kind) : "; it has " + names;
}

std::string DescribeLibrary(std::string_view library) {
  return library.empty() ? "this program" : "task library " + std::string(library);
}

}  // namespace kiln::worker
