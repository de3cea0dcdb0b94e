// The functions that the examples run as tasks. They are also the task library libkiln_examples.so:
//   kiln run build/lib/libkiln_examples.so:Add 1 2
#pragma once

#include <kiln/kiln.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace examples {

// --- numbers -------------------------------------------------------------------------------------

int Add(int a, int b);

// The n-th Fibonacci number by two tasks for every call above 1: shows nested tasks, not speed.
int64_t Fib(int n);

// Sum of begin .. end - 1, one addition after the other.
int64_t SumRange(int64_t begin, int64_t end);

// a + b after `work` additions: an aggregation step that costs something.
int64_t Combine(int64_t a, int64_t b, int64_t work);

double Sum(std::span<const double> numbers);

// --- matrices ------------------------------------------------------------------------------------

// size x size numbers from 0 to 1; the same for the same seed.
kiln::Array<double> RandomMatrix(uint32_t seed, size_t size);

// Requires: a has as many columns as b has rows; throws std::invalid_argument otherwise.
kiln::Array<double> Multiply(const kiln::Array<double>& a, const kiln::Array<double>& b);

// --- text ----------------------------------------------------------------------------------------

using WordCounts = std::map<std::string, int64_t>;

// How often each word occurs: runs of ASCII letters, in lower case.
WordCounts WordCount(std::string_view text);

WordCounts MergeCounts(WordCounts a, const WordCounts& b);

std::string Echo(std::string text);

std::vector<std::string> Split(std::string_view text);

// --- structs -------------------------------------------------------------------------------------

struct Point {
  double x = 0;
  double y = 0;
  KILN_STRUCT(x, y)
};

double Distance(const Point& a, const Point& b);

// --- actors --------------------------------------------------------------------------------------

// Can be made by its name from Python: docs/guide-python.md.
class Counter {
 public:
  explicit Counter(int64_t start = 0) : count_(start) {}

  // Returns: the new count.
  int64_t Increment(int64_t by);
  int64_t Value() const;

 private:
  int64_t count_;
};

// --- misbehaviour, to see what kiln makes of it
// ----------------------------------------------------

void Noop();

// Sleeps and returns `seconds`; ends early when cancelled.
double Sleep(double seconds);

// Throws std::runtime_error(message).
void Fail(const std::string& message);

// Sends its own process a signal, e.g. 9 or 11.
void Crash(int signal);

}  // namespace examples
