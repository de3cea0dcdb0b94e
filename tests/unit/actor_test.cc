#include <catch2/catch.hpp>
#include <chrono>

#include "kiln/kiln.h"
#include "tests/unit/fake_runtime.h"

namespace kiln {
namespace {

struct Amount {
  int value = 0;
  KILN_STRUCT(value)
};

class Account {
 public:
  Account() = default;
  explicit Account(int start) : balance_(start) {}
  Account(std::string owner, const std::vector<double>& deposits) : owner_(std::move(owner)) {
    if (deposits.empty()) throw std::invalid_argument("no deposits");
    for (double deposit : deposits) balance_ += static_cast<int>(deposit);
  }
  explicit Account(Ref<Amount> ref) : balance_(CurrentSession().Get(ref).value) {}
  ~Account() { ++destroyed; }

  int Deposit(int amount) { return balance_ += amount; }
  int Balance() const noexcept { return balance_; }
  const std::string& Owner() const& { return owner_; }
  void Fail(const std::string& message) { throw std::out_of_range(message); }
  std::vector<int> Digits() const { return {balance_ / 10, balance_ % 10}; }
  std::pair<int, std::string> Both() const { return {balance_, owner_}; }
  void Close() { ExitActor(); }
  double Add(double a) { return balance_ + a; }
  std::string Add(std::string a) { return owner_ + a; }
  ActorHandle<Account> Self() const { return CurrentActor<Account>(); }
  uint32_t Restarts() const { return ActorRestarts(); }
  int Unlisted() { return 0; }

  static inline int destroyed = 0;

 private:
  int balance_ = 0;
  std::string owner_ = "nobody";
};
KILN_ACTOR(Account, Constructor<std::string, std::vector<double>>(), &Account::Deposit,
           &Account::Balance, &Account::Owner, &Account::Fail, &Account::Digits, &Account::Both,
           &Account::Close, static_cast<double (Account::*)(double)>(&Account::Add), &Account::Self,
           &Account::Restarts);

class Base {
 public:
  virtual ~Base() = default;
  virtual std::string Who() const { return "base"; }
  int Twice(int number) { return 2 * number; }
};
class Derived : public Base {
 public:
  std::string Who() const override { return "derived"; }
};
KILN_ACTOR(Derived, &Derived::Who, &Derived::Twice);

namespace nested {
struct Plain {
  int count = 0;
  int Next() { return ++count; }
};
}  // namespace nested
KILN_ACTOR(nested::Plain, &nested::Plain::Next);

struct Unregistered {
  int Next() { return 0; }
};

int DepositInto(const ActorHandle<Account>& account, int amount) {
  return CurrentSession().Get(account.Call(&Account::Deposit, amount));
}
KILN_TASK(DepositInto);

int SumOf(const std::vector<ActorHandle<Account>>& accounts) {
  int sum = 0;
  for (const auto& account : accounts) sum += CurrentSession().Get(account.Call(&Account::Balance));
  return sum;
}
KILN_TASK(SumOf);

int CallAny(const AnyActor& actor) {
  return CurrentSession().Get(actor.Call<int>("Balance"));
}
KILN_TASK(CallAny);

struct Fixture {
  ~Fixture() { runtime->EndActors(); }

  std::shared_ptr<testing::FakeRuntime> runtime = std::make_shared<testing::FakeRuntime>();
  Session session{runtime};
};

TEST_CASE_METHOD(Fixture, "an actor keeps its state between calls", "[actor]") {
  ActorHandle<Account> account = session.Create<Account>(5);
  Ref<int> first = account.Call(&Account::Deposit, 10);
  Ref<int> second = account.Call(&Account::Deposit, first);
  CHECK(session.Get(second) == 30);
  CHECK(session.Get(account.Call(&Account::Balance)) == 30);
  CHECK(session.Get(account.Call(&Account::Owner)) == "nobody");
  REQUIRE(runtime->called.size() == 4);
  CHECK(runtime->called[0].method == "Deposit");
  CHECK(runtime->called[0].options == CallOptions{});
  CHECK_FALSE(runtime->called[0].any_language);
}

TEST_CASE_METHOD(Fixture, "each of two actors has its own state", "[actor]") {
  auto one = session.Create<nested::Plain>();
  auto other = session.Create<nested::Plain>();
  CHECK(one != other);
  session.Get(one.Call(&nested::Plain::Next));
  CHECK(session.Get(one.Call(&nested::Plain::Next)) == 2);
  CHECK(session.Get(other.Call(&nested::Plain::Next)) == 1);
}

TEST_CASE_METHOD(Fixture, "a constructor takes values, texts and refs", "[actor]") {
  Ref<std::vector<double>> deposits = session.Put(std::vector<double>{1, 2});
  auto account = session.Create<Account>("Ada", deposits);
  CHECK(session.Get(account.Call(&Account::Both)) == std::pair<int, std::string>(3, "Ada"));
  CHECK(runtime->created[0].constructor.function == "Account(std::string, std::vector<double>)");
  // No constructor takes an Amount: the ref itself is passed.
  auto amount = session.Create<Account>(session.Put(Amount{7}));
  CHECK(session.Get(amount.Call(&Account::Balance)) == 7);
  CHECK(runtime->created[1].constructor.methods ==
        std::vector<std::string>{"Add", "Balance", "Both", "Close", "Deposit", "Digits", "Fail",
                                 "Owner", "Restarts", "Self"});
}

TEST_CASE_METHOD(Fixture, "a constructor that throws is the error of every call", "[actor]") {
  auto account = session.Create<Account>("Ada", std::vector<double>());
  CHECK_THROWS_WITH(session.Get(account.Call(&Account::Balance)), Catch::Contains("no deposits"));
  CHECK_THROWS_AS(session.Get(account.Call(&Account::Balance)), ActorDiedError);
  CHECK_THROWS_AS(session.Get(account.Call(&Account::Balance)), ActorError);
}

TEST_CASE_METHOD(Fixture, "a method's exception names class and method", "[actor]") {
  auto account = session.Create<Account>();
  try {
    session.Get(account.Call(&Account::Fail, "too much"));
    FAIL("nothing was thrown");
  } catch (const TaskError& error) {
    CHECK(error.type() == "std::out_of_range");
    CHECK(error.message() == "too much");
    CHECK(error.task() == "Account.Fail");
  }
  CHECK(session.Get(account.Call(&Account::Balance)) == 0);
}

TEST_CASE_METHOD(Fixture, "elements of a method's result become objects", "[actor]") {
  auto account = session.Create<Account>(42);
  std::vector<Ref<int>> digits = account.With({.num_returns = 2}).CallMany(&Account::Digits);
  CHECK(session.Get(digits) == std::vector{4, 2});
  auto [balance, owner] = account.With({}).CallTuple(&Account::Both);
  CHECK(session.Get(balance) == 42);
  CHECK(session.Get(owner) == "nobody");
  CHECK(session.Get(account.With({.num_returns = 9}).Call(&Account::Digits)).size() == 2);
  CHECK_THROWS_WITH(session.Get(account.With({.num_returns = 3}).CallMany(&Account::Digits)),
                    Catch::Contains("returned 2 values, but num_returns is 3"));
}

TEST_CASE_METHOD(Fixture, "methods that are virtual, inherited or overloaded are told apart",
                 "[actor]") {
  auto derived = session.Create<Derived>();
  CHECK(session.Get(derived.Call(&Derived::Who)) == "derived");
  CHECK(session.Get(derived.Call(&Derived::Twice, 4)) == 8);
  auto account = session.Create<Account>(1);
  auto add_number = static_cast<double (Account::*)(double)>(&Account::Add);
  auto add_text = static_cast<std::string (Account::*)(std::string)>(&Account::Add);
  CHECK(session.Get(account.Call(add_number, 0.5)) == 1.5);
  CHECK_THROWS_AS(account.Call(add_text, "x"), std::invalid_argument);
}

TEST_CASE_METHOD(Fixture, "options of actors and calls arrive", "[actor]") {
  auto account = session
                     .With(ActorOptions{.name = "savings",
                                        .detached = true,
                                        .num_cpus = 0.5,
                                        .max_restarts = 3,
                                        .max_task_retries = 2,
                                        .concurrency_groups = {{"io", 2}}})
                     .Create<Account>(1);
  CHECK(runtime->created[0].options.name == "savings");
  CHECK(runtime->created[0].options.detached);
  CHECK(runtime->created[0].options.num_cpus == 0.5);
  account.With({.max_task_retries = 0, .concurrency_group = "io"}).Call(&Account::Balance);
  CHECK(runtime->called[0].options ==
        CallOptions{.max_task_retries = 0, .concurrency_group = "io"});
  CHECK(account.actor()->actor_class.max_task_retries == 2);
}

TEST_CASE_METHOD(Fixture, "an actor is found by its name", "[actor]") {
  auto account = session.With(ActorOptions{.name = "savings"}).Create<Account>(1);
  CHECK(session.GetActor<Account>("savings") == account);
  CHECK_THROWS_AS(session.GetActor<Account>("other"), ActorNotFoundError);
  CHECK_THROWS_AS(session.GetActor<Derived>("savings"), TypeMismatchError);
  CHECK_THROWS_AS(session.With(ActorOptions{.name = "savings"}).Create<Account>(1), NameTakenError);
  ActorOptions same{.name = "savings", .get_if_exists = true};
  CHECK(session.With(same).Create<Account>(9) == account);
  CHECK_THROWS_WITH(session.With(same).Create<Derived>(),
                    Catch::Contains("is of class Account (cpp), not Derived (cpp)"));
  CHECK(session.Get(account.Call(&Account::Balance)) == 1);
}

TEST_CASE_METHOD(Fixture, "an actor of any class is called by names", "[actor]") {
  auto account = session.With(ActorOptions{.name = "savings"}).Create<Account>(1);
  AnyActor any = session.GetActor("savings");
  CHECK(any == AnyActor(account));
  CHECK(any.class_name() == "Account");
  CHECK(session.Get(any.Call<int>("Deposit", 4)) == 5);
  CHECK(session.Get(any.Call<int>("Deposit", session.Put(5))) == 10);
  CHECK(runtime->called[0].any_language);
  CHECK_THROWS_WITH(session.Get(any.Call<int>("deposit", 4)),
                    Catch::Contains("no method deposit in Account; did you mean Deposit?"));
  CHECK_THROWS_WITH(
      session.Get(any.Call<int>("Deposit", "four")),
      Catch::Contains("argument 1 of Account.Deposit(int): expected int, got string \"four\""));
  CHECK_THROWS_WITH(session.Get(any.Call<int>("Deposit")),
                    Catch::Contains("Account.Deposit(int): expected 1 arguments, got 0"));
}

TEST_CASE_METHOD(Fixture, "handles travel as arguments and inside values", "[actor]") {
  auto account = session.Create<Account>(1);
  CHECK(session.Get(session.Submit(DepositInto, account, 4)) == 5);
  CHECK(session.Get(session.Submit(SumOf, std::vector{account, session.Create<Account>(3)})) == 8);
  CHECK(session.Get(session.Submit(CallAny, AnyActor(account))) == 5);
  CHECK(session.Get(account.Call(&Account::Self)) == account);
  CHECK(session.Get(session.Put(account)) == account);
  AnyActor other(session.Create<Derived>());
  Ref<AnyActor> stored = session.Put(other);
  CHECK_THROWS_WITH(session.Get(session.FromId<ActorHandle<Account>>(stored.id())),
                    Catch::Contains("is of class Derived (cpp), not Account (cpp)"));
  CHECK_THROWS_AS(session.Get(session.FromId<AnyActor>(session.Put(5).id())), TypeMismatchError);
}

TEST_CASE_METHOD(Fixture,
                 "copies of a handle share one reference, and with the last the actor ends",
                 "[actor]") {
  const int before = Account::destroyed;
  {
    auto account = session.Create<Account>(1);
    auto copy = account;
    account = {};
    CHECK(runtime->TotalReferences() == 1);
    CHECK(session.Get(copy.Call(&Account::Balance)) == 1);
    CHECK(Account::destroyed == before);
  }
  CHECK(Account::destroyed == before + 1);
  CHECK(runtime->TotalReferences() == 0);
}

TEST_CASE_METHOD(Fixture, "an actor is killed, or exits by itself", "[actor]") {
  auto killed = session.Create<Account>(1);
  session.Kill(killed, /*no_restart=*/false);
  CHECK(session.Get(killed.Call(&Account::Balance)) == 1);
  session.Kill(killed);
  CHECK(runtime->killed.back().second == false);
  CHECK_THROWS_AS(session.Get(killed.Call(&Account::Balance)), ActorDiedError);
  auto closed = session.Create<Account>(1);
  CHECK_THROWS_AS(session.Get(closed.Call(&Account::Close)), ActorDiedError);
  CHECK_THROWS_AS(session.Get(closed.Call(&Account::Balance)), ActorDiedError);
  CHECK_THROWS_AS(ExitActor(), std::logic_error);
  CHECK_THROWS_AS(CurrentActor<Account>(), std::logic_error);
}

TEST_CASE_METHOD(Fixture, "a class or method that is not registered is a mistake that is told",
                 "[actor]") {
  CHECK_THROWS_WITH(session.Create<Unregistered>(), Catch::Contains("KILN_ACTOR"));
  auto account = session.Create<Account>(1);
  CHECK_THROWS_WITH(account.Call(&Account::Unlisted),
                    "kiln: KILN_ACTOR of Account does not list this method; write "
                    "KILN_ACTOR(Account, &Account::Method, ...);");
  CHECK_THROWS_AS(ActorHandle<Account>().Call(&Account::Balance), std::logic_error);
  CHECK_THROWS_AS(ActorHandle<Account>().id(), std::logic_error);
}

TEST_CASE_METHOD(Fixture, "a class of Python is named as its functions are", "[actor]") {
  runtime->hold_tasks = true;
  AnyActor actor = session.Create(PyActor{"counters", "Counter", "/srv"}, 5, "text");
  const auto& created = runtime->created[0];
  CHECK(created.constructor.library == "python:/srv");
  CHECK(created.constructor.function == "counters:Counter");
  CHECK(created.constructor.language == "python");
  CHECK(created.argument_count == 2);
  CHECK(actor.class_name() == "Counter");
  CHECK_THROWS_AS(session.Create(PyActor{"", "Counter"}), std::invalid_argument);
}

}  // namespace
}  // namespace kiln
