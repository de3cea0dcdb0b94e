// Tasks that several scenarios use. A name is one task's in the whole program: others have theirs.
#pragma once

#include <string>

namespace kiln::testing {

int Add(int a, int b);

size_t CountBytes(const std::string& text);

// Appends the text to the file. Returns: the length of the text.
int Note(const std::string& file, const std::string& text);

// Notes "x" in `begun`, then waits until the file `gate` is there or the task is cancelled.
void Gate(const std::string& begun, const std::string& gate);

}  // namespace kiln::testing
