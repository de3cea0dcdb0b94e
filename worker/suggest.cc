#include "worker/suggest.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace kiln::worker {
namespace {

// Single-character edits from one text to the other.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string Suggest(std::span<const std::string_view> known, std::string_view name,
                    std::string_view kind) {
  constexpr size_t kNamesShown = 20;
  std::string_view nearest;
  size_t least = std::max<size_t>(2, name.size() / 3) + 1;
  for (std::string_view candidate : known) {
    size_t distance = EditDistance(candidate, name);
    if (distance >= least) continue;
    least = distance;
    nearest = candidate;
  }
  if (!nearest.empty()) return "; did you mean " + std::string(nearest) + "?";
  std::string names;
  for (size_t i = 0; i < known.size(); ++i) {
    if (i == kNamesShown) return "; it has " + names + ", ...";
    names += (names.empty() ? "" : ", ") + std::string(known[i]);
  }
  return names.empty() ? "; it has no " + std::string(kind) : "; it has " + names;
}

std::string DescribeLibrary(std::string_view library) {
  return library.empty() ? "this program" : "task library " + std::string(library);
}

}  // namespace kiln::worker
