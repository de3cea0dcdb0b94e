// Expect: kiln: a task cannot return a pointer or a view
#include <kiln/kiln.h>

const char* Name() {
  return "x";
}
KILN_TASK(Name);
