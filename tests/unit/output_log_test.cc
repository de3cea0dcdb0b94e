#include "daemon/process/output_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "common/limits.h"
#include "common/utf8.h"
#include "daemon/process/output_lines.h"
#include "daemon/process/rotated_file.h"
#include "tests/unit/process_fixture.h"
#include "tests/unit/run_until.h"
#include "tests/unit/temp_dir.h"

namespace kiln::process {
namespace {

using testing::kDeadline;
using testing::ReadFile;
using testing::TempDir;
namespace fs = std::filesystem;

// All of a log, read in pieces of `most`.
template <typename Log>
std::string ReadAll(const Log& log, uint64_t* offset, size_t most) {
  std::string all;
  while (true) {
    const std::string part = log.Read(offset, most);
    if (part.empty()) return all;
    *offset += part.size();
    all += part;
  }
}

TEST_CASE("a rotated file keeps the newest bytes exactly, in files of a bounded size") {
  TempDir temp;
  const std::string path = temp / "log";
  testing::WriteFile(path, "of an earlier run");
  testing::WriteFile(path + ".2", "of an earlier run");
  RotatedFile file(path, 10, 3);
  CHECK_FALSE(fs::exists(path + ".2"));
  std::string all;
  for (int i = 0; i < 47; ++i) {
    const std::string bytes(static_cast<size_t>(i % 5), static_cast<char>('a' + i % 26));
    file.Append(bytes);
    all += bytes;
    uint64_t offset = 0;
    const std::string read = ReadAll(file, &offset, 7);
    CHECK(offset == all.size());
    REQUIRE(all.ends_with(read));
    CHECK(read.size() >= std::min<size_t>(all.size(), 20));
    CHECK(ReadFile(path + ".2") + ReadFile(path + ".1") + ReadFile(path) == read);
  }
  CHECK(fs::file_size(path + ".1") == 10);
  CHECK_FALSE(fs::exists(path + ".3"));
  CHECK(file.lost_bytes() == 0);
  file.Finish();
  uint64_t offset = 0;
  CHECK_FALSE(ReadAll(file, &offset, 1000).empty());
  file.Remove();
  CHECK(fs::is_empty(temp.path()));
}

TEST_CASE("a reader of a rotated file learns where the bytes begin that it still gets") {
  TempDir temp;
  RotatedFile file(temp / "log", 10, 2);
  file.Append("0123456789abcdefghijXYZ");
  uint64_t offset = 3;
  CHECK(file.Read(&offset, 4) == "abcd");
  CHECK(offset == 10);
  offset = 18;
  CHECK(file.Read(&offset, 100) == "ijXYZ");
  CHECK(offset == 18);
  offset = 23;
  CHECK(file.Read(&offset, 100).empty());
  offset = 1000;
  CHECK(file.Read(&offset, 100).empty());
  CHECK(offset == 23);
  fs::remove(temp / "log.1");  // by whoever cleans the disk
  offset = 12;
  CHECK(file.Read(&offset, 100) == "XYZ");
  CHECK(offset == 20);
}

TEST_CASE("bytes that the disk does not take are counted") {
  RotatedFile nowhere("/no/such/dir/log");
  nowhere.Append("lost");
  CHECK(nowhere.lost_bytes() == 4);
  CHECK(nowhere.end_offset() == 0);
}

TEST_CASE("lines come whole, without their ends, and the last one at the end of the stream") {
  OutputLines lines;
  CHECK(lines.Feed("a").empty());
  CHECK(lines.Feed("b\nc\r\n\nd") == std::vector<std::string>{"ab", "c", ""});
  CHECK(lines.Last() == std::vector<std::string>{"ab", "c", "d"});
  CHECK(lines.Finish() == std::vector<std::string>{"d"});
  CHECK(lines.Finish().empty());
}

TEST_CASE("lines are cut at their bound, and the last ones kept are few and short") {
  OutputLines lines;
  const std::string endless(kLineBytes, 'x');
  CHECK(lines.Feed(endless).empty());
  CHECK(lines.Feed(endless).empty());
  CHECK(lines.Feed("y\nz\n") == std::vector<std::string>{endless, "z"});
  REQUIRE(lines.Last().size() == 2);
  CHECK(lines.Last()[0] == std::string(limits::kCrashLineBytes, 'x'));
  for (int i = 0; i < 100; ++i) lines.Feed("line " + std::to_string(i) + "\n");
  REQUIRE(lines.Last().size() == limits::kCrashLines);
  CHECK(lines.Last().front() == "line 80");
  lines.Feed("unfinished");
  REQUIRE(lines.Last().size() == limits::kCrashLines);
  CHECK(lines.Last().back() == "unfinished");
}

TEST_CASE("text that is no UTF-8 becomes UTF-8, cut at a character") {
  CHECK(CleanText("grün €𝄞", 100) == "grün €𝄞");
  CHECK(CleanText("grün", 3) == "gr");
  CHECK(CleanText("\xff"
                  "a\xc3",
                  100) == "?a?");
  CHECK(CleanText("\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xe0\x80\x80", 100) == "??|???|????|???");
  CHECK(CleanText(std::string_view("a\0b", 3), 100) == std::string("a\0b", 3));
}

TEST_CASE("ten megabytes of output are read completely and bounded on disk") {
  TempDir temp;
  EventLoop loop;
  size_t lines = 0;
  size_t grown = 0;
  OutputLog log(&loop, temp / "log",
                {[&] { ++grown; }, [&](std::vector<std::string> more) { lines += more.size(); }});
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  REQUIRE(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
  log.Attach(ends[0]);
  constexpr size_t kBytes = 10 << 20;
  std::string sent;
  for (size_t i = 0; sent.size() < kBytes; ++i) sent += "line " + std::to_string(i) + "\n";
  std::thread writer([&] {
    for (size_t done = 0; done < sent.size();) {
      const ssize_t count = write(ends[1], sent.data() + done, sent.size() - done);
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
    close(ends[1]);
  });
  uint64_t offset = 0;
  std::string followed;
  CHECK(testing::RunUntil(
      &loop,
      [&] {
        followed += ReadAll(log, &offset, 100'000);
        return followed.size() == sent.size();
      },
      kDeadline));
  writer.join();
  log.Drain();
  CHECK(followed == sent);
  CHECK(ReadFile(temp / "log") == sent);
  CHECK(lines == static_cast<size_t>(std::count(sent.begin(), sent.end(), '\n')));
  CHECK(grown >= kBytes / kReadBytes);
}

TEST_CASE("what is in the pipe when the process ends is read, and its last line passed on") {
  TempDir temp;
  EventLoop loop;
  std::vector<std::string> lines;
  OutputLog log(&loop, temp / "log", {{}, [&](std::vector<std::string> more) {
                                        lines.insert(lines.end(), more.begin(), more.end());
                                      }});
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  REQUIRE(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
  log.Attach(ends[0]);
  REQUIRE(write(ends[1], "one\ntwo", 7) == 7);
  log.Drain();  // also with a writer left that should not be there
  close(ends[1]);
  CHECK(lines == std::vector<std::string>{"one", "two"});
  CHECK(log.LastLines() == lines);
  CHECK(ReadFile(temp / "log") == "one\ntwo");
}

TEST_CASE("logs of an earlier head are removed, and nothing else") {
  TempDir temp;
  for (const char* name : {"job-1.log", "job-12.log.2", "head.log", "job-notes", "worker-1.log"}) {
    testing::WriteFile(temp / name, "");
  }
  RemoveLogs(temp.path(), "job-");
  CHECK_FALSE(fs::exists(temp / "job-1.log"));
  CHECK_FALSE(fs::exists(temp / "job-12.log.2"));
  for (const char* name : {"head.log", "job-notes", "worker-1.log"}) CHECK(fs::exists(temp / name));
  RemoveLogs("/no/such/dir", "job-");
}

}  // namespace
}  // namespace kiln::process
