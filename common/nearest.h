// The name somebody probably meant.
//
// Thread: any; a plain function.
#pragma once

#include <string>
#include <vector>

namespace kiln {

// Returns: the one of `names` with the fewest edits (inserting, deleting, changing or swapping
// letters) to `word`; empty when even that is far off: over a third of its letters, at least 2.
std::string Nearest(const std::string& word, const std::vector<std::string>& names);

}  // namespace kiln
