// Expect: kiln: this Ref<T> does not fit
#include <kiln/kiln.h>

int Add(int a, int b) {
  return a + b;
}

void Try(kiln::Session& session, kiln::Ref<void> nothing) {
  session.Submit(Add, 1, nothing);
}
