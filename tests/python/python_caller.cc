// A C++ program that calls functions of Python: see interop_test.py.
#include <kiln/kiln.h>

#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace {

void CallActor(const kiln::Session& session) {
  const kiln::AnyActor counter = session.Create(kiln::PyActor{"shapes", "Counter"}, 10);
  const kiln::Ref<int> first = counter.Call<int>("add", 5);
  const kiln::Ref<int> second = counter.Call<int>("add", 1);
  std::cout << session.Get(first) << ' ' << session.Get(second) << '\n';
  const auto [value, half] = session.Get(counter.Call<std::pair<int, double>>("pair"));
  std::cout << value << ' ' << half << '\n';
  try {
    session.Get(counter.Call<int>("fail", "worse"));
  } catch (const kiln::TaskError& error) {
    std::cout << error.type() << ": " << error.message() << '\n';
  }
  try {
    session.Get(counter.Call<int>("nothing"));
  } catch (const kiln::FunctionNotFoundError&) {
    std::cout << "FUNCTION_NOT_FOUND\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  kiln::Session session = kiln::Connect(argc, argv);
  const kiln::Ref<int> three = session.Submit(kiln::PyFunction<int>{"shapes", "add"}, 1, 2);
  std::cout << session.Get(three) << '\n';
  const kiln::PyFunction<double> add{"shapes", "add"};
  std::cout << session.Get(session.With({.num_cpus = 0.5}).Submit(add, three, 0.5)) << '\n';
  const auto [number, text] =
      session.Get(session.Submit(kiln::PyFunction<std::pair<int, std::string>>{"shapes", "pair"}));
  std::cout << number << ' ' << text << '\n';
  const auto scaled = session.Get(session.Submit(
      kiln::PyFunction<kiln::Array<double>>{"shapes", "scaled"}, std::vector<double>{1, 2, 3}, 2));
  std::cout << scaled[0] << ' ' << scaled[1] << ' ' << scaled[2] << '\n';
  try {
    session.Get(session.Submit(kiln::PyFunction<int>{"shapes", "fail"}, "bad"));
  } catch (const kiln::TaskError& error) {
    std::cout << error.type() << ": " << error.message() << '\n';
  }
  try {
    session.Get(session.Submit(kiln::PyFunction<int>{"shapes", "nothing"}));
  } catch (const kiln::FunctionNotFoundError&) {
    std::cout << "FUNCTION_NOT_FOUND\n";
  }
  CallActor(session);
}
