// Expect: kiln: a task runs in another process
#include <kiln/kiln.h>

void Increment(int& number) {
  ++number;
}
KILN_TASK(Increment);
