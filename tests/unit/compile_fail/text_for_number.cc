// Expect: kiln: this argument.s type does not fit
#include <kiln/kiln.h>

int Add(int a, int b) {
  return a + b;
}

void Try(kiln::Session& session) {
  session.Submit(Add, 1, "2");
}
