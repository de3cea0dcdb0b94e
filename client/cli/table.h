// Rows in aligned columns, for people.
//
// Thread: any; plain data.
#pragma once

#include <string>
#include <vector>

namespace kiln::cli {

struct Table {
  struct Column {
    std::string title;
    bool right = false;  // numbers
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // as many cells as columns

  // The titles in upper case and the rows below, two blanks between columns. Control characters in
  // cells are shown as '?', since names come from other people's programs.
  std::string ToString() const;
};

// Characters, not bytes, of UTF-8 text.
size_t DisplayWidth(const std::string& text);

}  // namespace kiln::cli
