// Expect: kiln: this type cannot travel
#include <kiln/kiln.h>

struct Point {
  double x = 0;
};
double Norm(const Point& point) {
  return point.x;
}
KILN_TASK(Norm);
