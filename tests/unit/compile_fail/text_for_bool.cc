// Expect: kiln: this argument.s type does not fit
#include <kiln/kiln.h>

bool Not(bool flag) {
  return !flag;
}

void Try(kiln::Session& session) {
  session.Submit(Not, "false");
}
