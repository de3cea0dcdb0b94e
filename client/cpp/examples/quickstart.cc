// The smallest program: two tasks, the second of which waits for the first.
#include <kiln/kiln.h>

#include <iostream>

int Add(int a, int b) {
  return a + b;
}
KILN_TASK(Add);

int main(int argc, char** argv) {
  kiln::Session session = kiln::Connect(argc, argv);  // joins the running head, or starts one
  kiln::Ref<int> a = session.Submit(Add, 1, 2);       // runs in a worker process
  kiln::Ref<int> b = session.Submit(Add, a, 3);       // runs when `a` is there
  std::cout << session.Get(b) << '\n';                // 6
}
