#include <catch2/catch.hpp>

#include "daemon/core/resources.h"

namespace kiln::core {
namespace {

Resources Disk(double amount) {
  Resources resources;
  resources.SetCustom("disk", amount);
  return resources;
}

TEST_CASE("amounts are exact in units of 1/10,000") {
  Resources sum;
  for (int i = 0; i < 10; ++i) sum.Add(Resources(0.1));
  CHECK(sum == Resources(1));
  sum.Subtract(Resources(1));
  CHECK(sum == Resources());
}

TEST_CASE("what is asked fits only if each amount does") {
  Resources here(2, 100);
  here.SetCustom("disk", 1);
  CHECK(Resources(2, 100).FitsIn(here));
  CHECK_FALSE(Resources(2.0001).FitsIn(here));
  CHECK_FALSE(Resources(1, 101).FitsIn(here));
  CHECK(Disk(1).FitsIn(here));
  CHECK_FALSE(Disk(1.5).FitsIn(here));
  CHECK_FALSE(Disk(1).FitsIn(Resources(2)));
}

TEST_CASE("asking for nothing fits although the amount is overdrawn") {
  Resources here(1);
  here.Subtract(Resources(2));
  CHECK(here.num_cpus() == -1);
  CHECK(Resources(0).FitsIn(here));
  CHECK_FALSE(Resources(0.5).FitsIn(here));
}

TEST_CASE("the first lacking amount is told in words") {
  CHECK(Resources(8).FirstLacking(Resources(2)) == "num_cpus: 8 asked, 2 here");
  CHECK(Resources(0, 10).FirstLacking(Resources(1, 5)) == "memory: 10 bytes asked, 5 bytes here");
  CHECK(Disk(0.5).FirstLacking(Resources(1)) == "disk: 0.5 asked, 0 here");
  CHECK(Resources(1).FirstLacking(Resources(1)).empty());
}

TEST_CASE("custom resources are kept by name and removed with 0") {
  Resources resources;
  resources.SetCustom("b", 2);
  resources.SetCustom("a", 1);
  resources.SetCustom("b", 0);
  REQUIRE(resources.custom().size() == 1);
  CHECK(resources.custom()[0] == std::pair<std::string, int64_t>("a", Resources::kUnit));
}

TEST_CASE("amounts that are no numbers are marked as wrong") {
  CHECK(Resources(-1).num_cpus() < 0);
  CHECK(Resources(0.0 / 0.0).num_cpus() < 0);
  CHECK(Resources(1e300).num_cpus() > 0);
}

}  // namespace
}  // namespace kiln::core
