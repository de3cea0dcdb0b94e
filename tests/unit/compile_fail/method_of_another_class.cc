// Expect: kiln: this method belongs to another class
#include <kiln/kiln.h>

struct Counter {};
struct Other {
  int Get() { return 0; }
};

void Try(kiln::ActorHandle<Counter>& counter) {
  counter.Call(&Other::Get);
}
