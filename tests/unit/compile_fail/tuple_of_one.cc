// Expect: kiln: SubmitTuple needs a function that returns a tuple
#include <kiln/kiln.h>

int Add(int a, int b) {
  return a + b;
}

void Try(kiln::Session& session) {
  session.With({}).SubmitTuple(Add, 1, 2);
}
