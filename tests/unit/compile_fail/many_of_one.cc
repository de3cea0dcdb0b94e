// Expect: kiln: SubmitMany needs a function that returns a vector
#include <kiln/kiln.h>

int Add(int a, int b) {
  return a + b;
}

void Try(kiln::Session& session) {
  session.With({.num_returns = 2}).SubmitMany(Add, 1, 2);
}
