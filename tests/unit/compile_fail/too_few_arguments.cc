// Expect: kiln: wrong number of arguments
#include <kiln/kiln.h>

int Add(int a, int b) {
  return a + b;
}

void Try(kiln::Session& session) {
  session.Submit(Add, 1);
}
