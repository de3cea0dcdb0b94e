// Tasks that die, throw, take too long, and what their callers learn.
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>

#include "tests/cluster/files.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

int Echo(int value) {
  return value;
}
KILN_TASK(Echo);

// Counts its attempts in the file; dies in all but the last.
int DieBefore(const std::string& file, size_t attempts) {
  Append(file, "x");
  size_t attempt = SizeOf(file);
  if (attempt < attempts) raise(SIGKILL);
  return static_cast<int>(attempt);
}
KILN_TASK(DieBefore);

int ThrowBefore(const std::string& file, size_t attempts) {
  Append(file, "x");
  size_t attempt = SizeOf(file);
  if (attempt < attempts) throw std::runtime_error("attempt " + std::to_string(attempt));
  return static_cast<int>(attempt);
}
KILN_TASK(ThrowBefore);

void SpeakAndAbort() {
  for (int i = 0; i < 100; ++i) std::fprintf(stderr, "line %d\n", i);
  std::fprintf(stderr, "famous last words\n");
  std::abort();
}
KILN_TASK(SpeakAndAbort);

void Exit(int code) {
  exit(code);
}
KILN_TASK(Exit);

int64_t ThrowNumber() {
  throw 7;
}
KILN_TASK(ThrowNumber);

void Overflow(const std::string& begun) {
  Append(begun, "x");
  throw std::length_error("no room");
}
KILN_TASK(Overflow);

void WaitForCancel(const std::string& begun) {
  Append(begun, "x");
  while (true) ThrowIfCancelled();
}
KILN_TASK(WaitForCancel);

void IgnoreAll(const std::string& begun) {
  Append(begun, "x");
  while (true) WaitUntil([] { return false; }, kDeadline);
}
KILN_TASK(IgnoreAll);

std::string WhatOf(const Session& session, const Ref<void>& ref) {
  try {
    session.Get(ref, kDeadline);
  } catch (const WorkerCrashedError& error) {
    return error.what();
  }
  return "";
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a task whose worker dies runs again, max_retries times", "[failure]") {
  TestHead head;
  Session session = head.Connect();
  CHECK(session.Get(session.Submit(DieBefore, head.File("default"), 4), kDeadline) == 4);
  auto none = session.With({.max_retries = 0}).Submit(DieBefore, head.File("none"), 2);
  CHECK_THROWS_AS(session.Get(none, kDeadline), WorkerCrashedError);
  CHECK(SizeOf(head.File("none")) == 1);
  auto two = session.With({.max_retries = 2}).Submit(DieBefore, head.File("two"), 10);
  CHECK_THROWS_AS(session.Get(two, kDeadline), WorkerCrashedError);
  CHECK(SizeOf(head.File("two")) == 3);
  auto all = session.With({.max_retries = -1}).Submit(DieBefore, head.File("all"), 8);
  CHECK(session.Get(all, kDeadline) == 8);
}

TEST_CASE("a crash is told with its signal and the last words of the worker", "[failure]") {
  TestHead head;
  Session session = head.Connect();
  std::string what = WhatOf(session, session.With({.max_retries = 0}).Submit(SpeakAndAbort));
  INFO(what);
  CHECK(Contains(what, "SIGABRT"));
  CHECK(Contains(what, "famous last words"));
  CHECK(Contains(what, "line 99"));
  CHECK_FALSE(Contains(what, "line 1\n"));
  CHECK(Contains(what, "SpeakAndAbort"));
}

TEST_CASE("a task that calls exit is a crash with that code", "[failure]") {
  TestHead head;
  Session session = head.Connect();
  for (int code : {0, 3}) {
    std::string what = WhatOf(session, session.With({.max_retries = 0}).Submit(Exit, code));
    INFO(what);
    CHECK(Contains(what, "exit code " + std::to_string(code)));
  }
  CHECK(session.Get(session.Submit(Echo, 5)) == 5);
}

TEST_CASE("an exception arrives with type, message, task and process", "[failure]") {
  TestHead head;
  Session session = head.Connect();
  try {
    session.Get(session.Submit(Overflow, head.File("begun")));
    FAIL("no error came");
  } catch (const TaskError& error) {
    CHECK(error.type() == "std::length_error");
    CHECK(error.message() == "no room");
    CHECK(error.task() == "Overflow");
    CHECK(error.worker_pid() != getpid());
    CHECK(error.chain().empty());
  }
  CHECK(SizeOf(head.File("begun")) == 1);  // what throws is not tried again
  CHECK_THROWS_AS(session.Get(session.Submit(ThrowNumber)), TaskError);
}

TEST_CASE("retry_exceptions runs a task that throws again", "[failure]") {
  TestHead head;
  Session session = head.Connect();
  auto enough = session.With({.max_retries = 3, .retry_exceptions = true})
                    .Submit(ThrowBefore, head.File("enough"), 4);
  CHECK(session.Get(enough) == 4);
  auto lacking = session.With({.max_retries = 1, .retry_exceptions = true})
                     .Submit(ThrowBefore, head.File("lacking"), 4);
  try {
    session.Get(lacking);
    FAIL("no error came");
  } catch (const TaskError& error) {
    CHECK(error.message() == "attempt 2");
  }
}

TEST_CASE("a task over its time is stopped, whether it helps or not", "[failure]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  TaskOptions options{.timeout = std::chrono::milliseconds(100)};
  auto polite = session.With(options).Submit(WaitForCancel, head.File("polite"));
  CHECK_THROWS_AS(session.Get(polite, kDeadline), TaskTimeoutError);
  auto rude = session.With(options).Submit(IgnoreAll, head.File("rude"));
  CHECK_THROWS_AS(session.Get(rude, kDeadline), TaskTimeoutError);
  CHECK(SizeOf(head.File("rude")) == 1);  // not tried again
  CHECK(session.Get(session.With({.timeout = kDeadline}).Submit(Echo, 5)) == 5);
}

TEST_CASE("a task that dies takes no other task with it", "[failure]") {
  TestHead head;
  Session session = head.Connect();
  std::vector<Ref<int>> good;
  std::vector<Ref<int>> bad;
  for (int i = 0; i < 200; ++i) {
    good.push_back(session.With({.max_retries = 0}).Submit(Echo, i));
    if (i % 20 == 0) {
      std::string file = head.File("bad" + std::to_string(i));
      bad.push_back(session.With({.max_retries = 0}).Submit(DieBefore, file, 2));
    }
  }
  for (int i = 0; i < 200; ++i) CHECK(session.Get(good[static_cast<size_t>(i)], kDeadline) == i);
  for (const Ref<int>& ref : bad) {
    CHECK_THROWS_AS(session.Get(ref, kDeadline), WorkerCrashedError);
  }
}

}  // namespace kiln::testing
