// Tasks that depend on each other, and large arrays that travel without being copied: ten times two
// random 1000 x 1000 matrices and their product.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "example.h"
#include "tasks.h"

namespace {

using Matrix = kiln::Array<double>;

std::vector<Matrix> MultiplySerially(int rounds, size_t size) {
  std::vector<Matrix> products;
  for (int i = 0; i < rounds; ++i) {
    Matrix a = examples::RandomMatrix(2 * i, size);
    Matrix b = examples::RandomMatrix(2 * i + 1, size);
    products.push_back(examples::Multiply(a, b));
  }
  return products;
}

std::vector<Matrix> MultiplyByTasks(kiln::Session& session, int rounds, size_t size) {
  std::vector<kiln::Ref<Matrix>> products;
  for (int i = 0; i < rounds; ++i) {
    auto a = session.Submit(examples::RandomMatrix, 2 * i, size);
    auto b = session.Submit(examples::RandomMatrix, 2 * i + 1, size);
    products.push_back(session.Submit(examples::Multiply, a, b));  // runs when both are there
  }
  return session.Get(products);
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = examples::ParseArguments(argc, argv);
  const int rounds = arguments.small ? 3 : 10;
  const size_t size = arguments.small ? 150 : 1000;
  kiln::Session session = examples::Start(argc, argv);
  std::printf("%d products of random %zu x %zu matrices\n", rounds, size, size);

  std::vector<Matrix> expected, products;
  double serial_ms = examples::Milliseconds([&] { expected = MultiplySerially(rounds, size); });
  double kiln_ms =
      examples::Milliseconds([&] { products = MultiplyByTasks(session, rounds, size); });
  bool ok = std::ranges::equal(products, expected, [](const Matrix& a, const Matrix& b) {
    return a.shape() == b.shape() && std::ranges::equal(a, b);
  });
  return examples::Conclude("matmul", ok, serial_ms, kiln_ms);
}
