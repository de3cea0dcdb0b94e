// Expect: kiln: a task cannot return a view
#include <kiln/kiln.h>

std::span<const double> Numbers() {
  return {};
}
KILN_TASK(Numbers);
