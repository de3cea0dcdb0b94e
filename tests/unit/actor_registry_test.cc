// Actors as a worker runs them, of the program and of a task library; unit/task_library.cc has one.
#include "worker/actor_registry.h"

#include <catch2/catch.hpp>

#include "common/value/json.h"
#include "kiln/kiln.h"
#include "tests/unit/fake_runtime.h"
#include "worker/actor_instance.h"
#include "worker/invoke.h"
#include "worker/library.h"

namespace kiln::worker {
namespace {

const std::string kLibrary = KILN_TEST_TASK_LIBRARY;

class Lamp {
 public:
  explicit Lamp(bool lit) : lit_(lit) {}
  bool Lit() const { return lit_; }

 private:
  bool lit_;
};
KILN_ACTOR(Lamp, &Lamp::Lit);

struct Twin {};
struct OtherTwin {};

struct Fixture {
  ActorInstance instance;
  std::shared_ptr<testing::FakeRuntime> runtime = std::make_shared<testing::FakeRuntime>();

  // The result as JSON, or the error as text.
  std::string Run(Invocation invocation, const std::vector<std::string>& json) {
    std::vector<value::SharedBytes> arguments;
    for (const std::string& text : json) {
      arguments.push_back(value::CopyBytes(value::ParseJson(text)->value));
    }
    invocation.arguments = arguments;
    invocation.runtime = runtime;
    Outcome outcome = instance.Invoke(invocation);
    if (outcome.error) {
      return std::string(ErrorKindName(outcome.error->kind)) + ": " + outcome.error->message;
    }
    return *value::ToJson(outcome.results.at(0)->ToString());
  }
  std::string Make(const std::string& library, const std::string& name,
                   const std::vector<std::string>& json) {
    return Run({.callee = Callee::kConstructor, .library = library, .function = name}, json);
  }
  std::string Call(const std::string& method, const std::vector<std::string>& json) {
    return Run({.callee = Callee::kMethod, .function = method}, json);
  }
};

TEST_CASE_METHOD(Fixture, "an actor of a task library is made by its class's name", "[actor]") {
  REQUIRE(LoadLibrary(kLibrary).ok());
  CHECK(ListActorClasses(kLibrary) == std::vector<std::string>{"Account"});
  CHECK(Make(kLibrary, "Account", {"\"Ada\""}) == "null");
  CHECK(Call("Deposit", {"5"}) == "5");
  CHECK(Call("Owner", {}) == "\"Ada\"");
  CHECK(Call("Balance", {}) ==
        "FUNCTION_NOT_FOUND: no method Balance in Account; it has Deposit, Owner");
  CHECK(Call("Deposit", {"null"}) ==
        "INVALID_ARGUMENTS: argument 1 of Account.Deposit(int): expected int, got null");
}

TEST_CASE_METHOD(Fixture, "a constructor is chosen by the number of arguments or by its types",
                 "[actor]") {
  REQUIRE(LoadLibrary(kLibrary).ok());
  CHECK(Make(kLibrary, "Account", {"1", "2", "3"}) ==
        "FUNCTION_NOT_FOUND: no constructor Account with 3 parameters; KILN_ACTOR lists "
        "Account(std::string), Account(std::string, int), Account(int, std::string)");
  CHECK(Make(kLibrary, "Account", {"1", "\"Ada\""}) ==
        "FUNCTION_NOT_FOUND: two constructors of Account with 2 parameters are listed in "
        "KILN_ACTOR: Account(std::string), Account(std::string, int), Account(int, std::string)");
  CHECK(Make(kLibrary, "Account(int, std::string)", {"1", "\"Ada\""}) == "null");
  CHECK(Call("Deposit", {"5"}) == "6");
}

TEST_CASE_METHOD(Fixture, "what is not registered is answered with what is", "[actor]") {
  REQUIRE(LoadLibrary(kLibrary).ok());
  CHECK(Make(kLibrary, "Acount", {}) == "FUNCTION_NOT_FOUND: no class Acount in task library " +
                                            kLibrary + "; did you mean Account?");
  CHECK(Make("", "Lamp", {"true"}) ==
        "FUNCTION_NOT_FOUND: no constructor Lamp with 1 parameters; KILN_ACTOR lists none, write "
        "kiln::Constructor<...>() there");
  CHECK(Call("Lit", {}) == "FUNCTION_NOT_FOUND: this process is no actor");
}

TEST_CASE_METHOD(Fixture, "classes of one name in two libraries are two", "[actor]") {
  REQUIRE(LoadLibrary(kLibrary).ok());
  Result<FoundConstructor> theirs = FindConstructor(kLibrary, "Account", 1);
  Result<FoundConstructor> ours = FindConstructor("", "Account", 0);
  REQUIRE(theirs.ok());
  REQUIRE(ours.ok());
  CHECK(theirs->actor_class != ours->actor_class);
  CHECK(ours->actor_class->methods.size() == 10);
}

TEST_CASE("two classes registered under one name are reported when used", "[actor]") {
  detail::RegisterActorClass<Twin>("Twin", "");
  detail::RegisterActorClass<OtherTwin>("Twin", "");
  CHECK(FindConstructor("", "Twin", 0).status().code() == Code::kFailedPrecondition);
  CHECK_THROWS_WITH(detail::ClassNameOf(&detail::ClassKey<OtherTwin>),
                    Catch::Contains("two classes with KILN_ACTOR registered as Twin"));
}

TEST_CASE("names of methods are read from the text of KILN_ACTOR", "[actor]") {
  std::string_view items =
      "&Counter::Add, kiln::Constructor<int, std::string>(), "
      "static_cast<int (Counter::*)(int, int)>( &a::Counter::Sum ), &T::last_1";
  CHECK(detail::TakeItemName(&items) == "Add");
  detail::TakeItemName(&items);
  CHECK(detail::TakeItemName(&items) == "Sum");
  CHECK(detail::TakeItemName(&items) == "last_1");
  CHECK(items.empty());
}

}  // namespace
}  // namespace kiln::worker
