// Expect: assignment of read-only location
#include <kiln/kiln.h>

void Fill(kiln::Array<double> array) {
  array[0] = 1;
}
