// Expect: kiln: no constructor of this class takes these arguments
#include <kiln/kiln.h>

struct Counter {
  explicit Counter(int start);
};
KILN_ACTOR(Counter);

void Try(kiln::Session& session) {
  session.Create<Counter>("text");
}
