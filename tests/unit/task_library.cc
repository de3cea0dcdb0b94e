// A task library for registry_test.cc.
#include <kiln/kiln.h>

#include <stdexcept>

int Add(int a, int b) {
  return a + b;
}
KILN_TASK(Add);

// The test's program has a function of this name too.
int Shared() {
  return 1;
}
KILN_TASK(Shared);

namespace geometry {
double Area(double width, double height) {
  return width * height;
}
KILN_TASK(geometry::Area);
}  // namespace geometry

struct LibraryError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
void Fail(const std::string& message) {
  throw LibraryError(message);
}
KILN_TASK(Fail);

void StopWhenAsked() {
  kiln::ThrowIfCancelled();
}
KILN_TASK(StopWhenAsked);
