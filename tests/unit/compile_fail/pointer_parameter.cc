// Expect: kiln: a task runs in another process|kiln: this type cannot travel
#include <kiln/kiln.h>

int Read(int* number) {
  return *number;
}
KILN_TASK(Read);
