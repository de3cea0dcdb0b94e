// Expect: kiln: this argument's type does not fit
#include <kiln/kiln.h>

struct Counter {
  int Add(int by) { return by; }
};
KILN_ACTOR(Counter, &Counter::Add);

void Try(kiln::ActorHandle<Counter>& counter) {
  counter.Call(&Counter::Add, 2.5);
}
