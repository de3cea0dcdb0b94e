// Expect: kiln: this type cannot travel|kiln: a task cannot return a pointer
#include <kiln/kiln.h>

struct Counter {
  explicit Counter(int* start);
};
KILN_ACTOR(Counter);

void Try(kiln::Session& session, int* start) {
  session.Create<Counter>(start);
}
