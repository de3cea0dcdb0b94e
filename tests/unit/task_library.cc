// A task library for registry_test.cc.
#include <kiln/kiln.h>

#include <stdexcept>

int Add(int a, int b) {
  return a + b;
}
KILN_TASK(Add);

// The test's program has a function of this name too.
int Shared() {
  return 1;
}
KILN_TASK(Shared);

namespace geometry {
double Area(double width, double height) {
  return width * height;
}
KILN_TASK(geometry::Area);
}  // namespace geometry

struct LibraryError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
void Fail(const std::string& message) {
  throw LibraryError(message);
}
KILN_TASK(Fail);

void StopWhenAsked() {
  kiln::ThrowIfCancelled();
}
KILN_TASK(StopWhenAsked);

// The test's program has a class of this name too.
class Account {
 public:
  explicit Account(const std::string& owner) : owner_(owner) {}
  Account(std::string owner, int balance) : owner_(std::move(owner)), balance_(balance) {}
  Account(int balance, std::string owner) : Account(std::move(owner), balance) {}
  Account(int, int, int) {}

  int Deposit(int amount) { return balance_ += amount; }
  std::string Owner() const { return owner_; }

 private:
  std::string owner_;
  int balance_ = 0;
};
KILN_ACTOR(Account, kiln::Constructor<std::string>(), kiln::Constructor<std::string, int>(),
           kiln::Constructor<int, std::string>(), &Account::Deposit, &Account::Owner);
