// Expect: nothing, this one compiles
#include <kiln/kiln.h>

struct Point {
  double x = 0;
  KILN_STRUCT(x)
};

double Norm(const Point& point, double factor) {
  return point.x * factor;
}
KILN_TASK(Norm);

double Try(kiln::Session& session, kiln::Ref<int> factor) {
  return session.Get(session.Submit(Norm, Point{1}, factor));
}
