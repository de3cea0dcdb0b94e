// Expect: a lambda, function object or member function cannot run
#include <kiln/kiln.h>

void Try(kiln::Session& session) {
  session.Submit([](int number) { return number; }, 1);
}
