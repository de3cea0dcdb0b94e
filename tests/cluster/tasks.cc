#include "tests/cluster/tasks.h"

#include "kiln/kiln.h"
#include "tests/cluster/files.h"

namespace kiln::testing {

int Add(int a, int b) {
  return a + b;
}
KILN_TASK(Add);

size_t CountBytes(const std::string& text) {
  return text.size();
}
KILN_TASK(CountBytes);

int Note(const std::string& file, const std::string& text) {
  Append(file, text);
  return static_cast<int>(text.size());
}
KILN_TASK(Note);

void Gate(const std::string& begun, const std::string& gate) {
  Append(begun, "x");
  while (!WaitUntil([&] { return Exists(gate) || Cancelled(); }, kDeadline)) {
  }
}
KILN_TASK(Gate);

}  // namespace kiln::testing
