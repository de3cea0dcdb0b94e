#include <kiln/kiln.h>

#include <iostream>
#include <numeric>

int Add(int a, int b) {
  return a + b;
}
KILN_TASK(Add);

kiln::Array<double> Ones(size_t size) {
  auto ones = kiln::MakeArray<double>({size});
  for (double& one : ones) one = 1;
  return ones;
}
KILN_TASK(Ones);

int main(int argc, char** argv) {
  kiln::Session session = kiln::Connect(argc, argv);
  std::cout << session.Get(session.Submit(Add, session.Submit(Add, 1, 2), 3)) << '\n';
  kiln::Array<double> ones = session.Get(session.Submit(Ones, 100'000));  // through the store
  std::cout << std::accumulate(ones.begin(), ones.end(), 0.0) << '\n';
}
