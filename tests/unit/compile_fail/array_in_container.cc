// Expect: kiln: an Array cannot lie inside a container
#include <kiln/kiln.h>

size_t Count(const std::vector<kiln::Array<double>>& arrays) {
  return arrays.size();
}
KILN_TASK(Count);
