#include "tasks.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <random>
#include <stdexcept>
#include <thread>

namespace examples {
namespace {

// Keeps the compiler from replacing a loop by a formula.
inline void Keep(int64_t& number) {
  asm volatile("" : "+r"(number));
}

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Calls `use` with each run of letters.
template <typename Use>
void ForEachWord(std::string_view text, Use use) {
  for (auto begin = text.begin(); begin != text.end();) {
    begin = std::find_if(begin, text.end(), IsLetter);
    auto end = std::find_if_not(begin, text.end(), IsLetter);
    if (begin != end) use(std::string_view(begin, end));
    begin = end;
  }
}

}  // namespace

int Add(int a, int b) {
  return a + b;
}

int64_t Fib(int n) {
  if (n < 2) return n;
  kiln::Session session = kiln::CurrentSession();
  kiln::Ref<int64_t> one_less = session.Submit(Fib, n - 1);
  kiln::Ref<int64_t> two_less = session.Submit(Fib, n - 2);
  return session.Get(one_less) + session.Get(two_less);
}

int64_t SumRange(int64_t begin, int64_t end) {
  int64_t sum = 0;
  for (int64_t i = begin; i < end; ++i) {
    sum += i;
    Keep(sum);
  }
  return sum;
}

int64_t Combine(int64_t a, int64_t b, int64_t work) {
  int64_t idle = SumRange(0, work);
  Keep(idle);
  return a + b;
}

double Sum(std::span<const double> numbers) {
  double sum = 0;
  for (double number : numbers) sum += number;
  return sum;
}

kiln::Array<double> RandomMatrix(uint32_t seed, size_t size) {
  auto matrix = kiln::MakeArray<double>({size, size});
  std::mt19937 random(seed);
  for (double& number : matrix) number = random() / 4294967296.0;
  return matrix;
}

kiln::Array<double> Multiply(const kiln::Array<double>& a, const kiln::Array<double>& b) {
  if (a.shape().size() != 2 || b.shape().size() != 2 || a.shape()[1] != b.shape()[0]) {
    throw std::invalid_argument("Multiply: the shapes do not fit");
  }
  constexpr size_t kBlock = 64;  // rows of b that stay in the cache: 64 x 1000 x 8 bytes = 512 KB
  const size_t rows = a.shape()[0], inner = a.shape()[1], columns = b.shape()[1];
  auto product = kiln::MakeArray<double>({rows, columns});
  std::fill(product.begin(), product.end(), 0.0);
  for (size_t block = 0; block < inner; block += kBlock) {
    const size_t block_end = std::min(block + kBlock, inner);
    for (size_t row = 0; row < rows; ++row) {
      double* out = product.data() + row * columns;
      for (size_t k = block; k < block_end; ++k) {
        const double factor = a(row, k);
        const double* in = b.data() + k * columns;
        for (size_t column = 0; column < columns; ++column) out[column] += factor * in[column];
      }
    }
  }
  return product;
}

WordCounts WordCount(std::string_view text) {
  WordCounts counts;
  std::string lower;
  ForEachWord(text, [&](std::string_view word) {
    lower.assign(word);
    for (char& c : lower) c = static_cast<char>(c | 0x20);
    ++counts[lower];
  });
  return counts;
}

WordCounts MergeCounts(WordCounts a, const WordCounts& b) {
  for (const auto& [word, count] : b) a[word] += count;
  return a;
}

std::string Echo(std::string text) {
  return text;
}

std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> words;
  ForEachWord(text, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

double Distance(const Point& a, const Point& b) {
  return std::hypot(a.x - b.x, a.y - b.y);
}

int64_t Counter::Increment(int64_t by) {
  return count_ += by;
}

int64_t Counter::Value() const {
  return count_;
}

KILN_ACTOR(Counter, kiln::Constructor<int64_t>(), &Counter::Increment, &Counter::Value);

void Noop() {}

double Sleep(double seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kStep = std::chrono::milliseconds(10);  // how soon a cancellation is noticed
  const auto length = std::chrono::duration<double>(std::clamp(seconds, 0.0, 1e8));
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(length);
  while (Clock::now() < end) {
    kiln::ThrowIfCancelled();
    std::this_thread::sleep_until(std::min(end, Clock::now() + kStep));
  }
  return seconds;
}

void Fail(const std::string& message) {
  throw std::runtime_error(message);
}

void Crash(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// Without the namespace: these are the names that `kiln run` takes.
KILN_TASK(Add);
KILN_TASK(Fib);
KILN_TASK(SumRange);
KILN_TASK(Combine);
KILN_TASK(Sum);
KILN_TASK(RandomMatrix);
KILN_TASK(Multiply);
KILN_TASK(WordCount);
KILN_TASK(MergeCounts);
KILN_TASK(Echo);
KILN_TASK(Split);
KILN_TASK(Distance);
KILN_TASK(Noop);
KILN_TASK(Sleep);
KILN_TASK(Fail);
KILN_TASK(Crash);

}  // namespace examples
