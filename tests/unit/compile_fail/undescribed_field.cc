// Expect: kiln: this type cannot travel
#include <kiln/kiln.h>

struct Handle {
  int* raw = nullptr;
  KILN_STRUCT(raw)
};
void Use(const Handle&) {}
KILN_TASK(Use);
