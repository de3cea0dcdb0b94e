#include "common/shm/rings.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <vector>

namespace kiln::shm {
namespace {

// A memory file of this size and these seals, with a header that Attach would accept.
int Forge(size_t size_bytes, int seals) {
  const int fd = memfd_create("kiln-test-rings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  REQUIRE(fd >= 0);
  REQUIRE(ftruncate(fd, static_cast<off_t>(size_bytes)) == 0);
  const struct {
    uint64_t magic = kRingsMagic;
    uint32_t version = kRingsVersion;
    uint32_t ring_bytes = kRingBytes;
  } start;
  REQUIRE(pwrite(fd, &start, sizeof start, 0) == sizeof start);
  REQUIRE(fcntl(fd, F_ADD_SEALS, seals) == 0);
  return fd;
}

void Overwrite(int fd, const void* bytes, size_t size_bytes, off_t at) {
  REQUIRE(pwrite(fd, bytes, size_bytes, at) == static_cast<ssize_t>(size_bytes));
}

TEST_CASE("what the head makes the peer can attach, and both see the same") {
  auto made = Rings::Create();
  REQUIRE(made.ok());
  auto attached = Rings::Attach(dup((*made)->fd()));
  REQUIRE(attached.ok());
  Rings &head = **made, &peer = **attached;
  RingWriter writer(peer.to_head(), &peer.header().to_head_tail, &peer.header().to_head_head);
  RingReader reader(head.to_head(), &head.header().to_head_tail, &head.header().to_head_head);
  std::memcpy(writer.Reserve(5), "hello", 5);
  writer.Commit(5, RecordKind::kLast);
  writer.Publish();
  std::string frame;
  CHECK(reader.Read(&frame, 100) == RingReader::Outcome::kFrame);
  CHECK(frame == "hello");
}

TEST_CASE("rings begin empty, with both sides awake") {
  auto rings = Rings::Create();
  REQUIRE(rings.ok());
  const RingsHeader& header = (*rings)->header();
  for (const RingPosition* position :
       {&header.to_peer_tail, &header.to_peer_head, &header.to_head_tail, &header.to_head_head}) {
    CHECK(position->bytes == 0);
  }
  CHECK(header.head_bell.state == static_cast<uint32_t>(Bell::kAwake));
  CHECK(header.peer_bell.state == static_cast<uint32_t>(Bell::kAwake));
  CHECK(header.head_wants_room.state == 0);
}

TEST_CASE("all pages of new rings are there, so that no access can fail later") {
  auto rings = Rings::Create();
  REQUIRE(rings.ok());
  struct stat info;
  REQUIRE(fstat((*rings)->fd(), &info) == 0);
  CHECK(info.st_blocks * 512 == static_cast<off_t>(kRingsBytes));
}

TEST_CASE("nobody can resize rings or change their seals") {
  auto rings = Rings::Create();
  REQUIRE(rings.ok());
  const int fd = (*rings)->fd();
  for (off_t size : {off_t{0}, off_t{4096}, static_cast<off_t>(2 * kRingsBytes)}) {
    CHECK(ftruncate(fd, size) == -1);
    CHECK(errno == EPERM);
  }
  CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1);
  CHECK(errno == EPERM);
}

TEST_CASE("what is no ring file is refused, and its descriptor closed") {
  int fd = -1;
  SECTION("too small") {
    fd = Forge(kRingsBytes - 4096, F_SEAL_SHRINK);
  }
  SECTION("too large") {
    fd = Forge(kRingsBytes + 4096, F_SEAL_SHRINK);
  }
  SECTION("not sealed, so that an access could fail later") {
    fd = Forge(kRingsBytes, 0);
  }
  SECTION("sealed otherwise") {
    fd = Forge(kRingsBytes, F_SEAL_GROW);
  }
  SECTION("no memory file") {
    fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
    REQUIRE(fd >= 0);
  }
  SECTION("another magic") {
    fd = Forge(kRingsBytes, F_SEAL_SHRINK);
    Overwrite(fd, "notrings", 8, 0);
  }
  SECTION("another version") {
    fd = Forge(kRingsBytes, F_SEAL_SHRINK);
    const uint32_t version = kRingsVersion + 1;
    Overwrite(fd, &version, sizeof version, 8);
  }
  SECTION("rings of another size") {
    fd = Forge(kRingsBytes, F_SEAL_SHRINK);
    const uint32_t ring_bytes = kRingBytes / 2;
    Overwrite(fd, &ring_bytes, sizeof ring_bytes, 12);
  }
  auto rings = Rings::Attach(fd);
  REQUIRE_FALSE(rings.ok());
  CHECK(rings.status().code() == Code::kInvalidArgument);
  CHECK(fcntl(fd, F_GETFD) == -1);
}

TEST_CASE("a forged file that is right in all is attached") {
  CHECK(Rings::Attach(Forge(kRingsBytes, F_SEAL_SHRINK)).ok());
}

// --- the document --------------------------------------------------------------------------------

// "| 64 | 8 | `to_peer_tail` | .." -> to_peer_tail: {64, 8}
std::map<std::string, std::pair<size_t, size_t>> DocumentedFields() {
  std::ifstream file(KILN_SOURCE_DIR "/docs/wire.md");
  const std::regex row(R"(^\| (\d+) \| (\d+) \| `(\w+)` \|.*)");
  std::map<std::string, std::pair<size_t, size_t>> fields;
  bool in_section = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) in_section = line == "### Rings";
    std::smatch match;
    if (!in_section || !std::regex_match(line, match, row)) continue;
    fields[match[3]] = {std::stoul(match[1]), std::stoul(match[2])};
  }
  return fields;
}

TEST_CASE("the rings are laid out as docs/wire.md says") {
  const std::map<std::string, std::pair<size_t, size_t>> expected = {
      {"magic", {offsetof(RingsHeader, magic), sizeof(RingsHeader::magic)}},
      {"version", {offsetof(RingsHeader, version), sizeof(RingsHeader::version)}},
      {"ring_bytes", {offsetof(RingsHeader, ring_bytes), sizeof(RingsHeader::ring_bytes)}},
      {"to_peer_tail", {offsetof(RingsHeader, to_peer_tail), 8}},
      {"to_head_head", {offsetof(RingsHeader, to_head_head), 8}},
      {"head_wants_room", {offsetof(RingsHeader, head_wants_room), 4}},
      {"to_head_tail", {offsetof(RingsHeader, to_head_tail), 8}},
      {"to_peer_head", {offsetof(RingsHeader, to_peer_head), 8}},
      {"head_bell", {offsetof(RingsHeader, head_bell), 4}},
      {"peer_bell", {offsetof(RingsHeader, peer_bell), 4}},
      {"to_head", {kRingsHeaderBytes, kRingBytes}},
      {"to_peer", {kRingsHeaderBytes + kRingBytes, kRingBytes}},
      {"size_bytes", {offsetof(RecordHeader, size_bytes), sizeof(RecordHeader::size_bytes)}},
      {"kind", {offsetof(RecordHeader, kind), sizeof(RecordHeader::kind)}},
  };
  CHECK(DocumentedFields() == expected);
}

TEST_CASE("the numbers that docs/wire.md gives of the rings are those of the code") {
  std::ifstream file(KILN_SOURCE_DIR "/docs/wire.md");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto says = [&](const std::string& row) {
    INFO(row);
    CHECK(text.find(row) != std::string::npos);
  };
  const auto row = [](auto value, const std::string& name) {
    return "| " + std::to_string(static_cast<uint64_t>(value)) + " | " + name + " |";
  };
  says(row(RecordKind::kLast, "last"));
  says(row(RecordKind::kPart, "part"));
  says(row(RecordKind::kSkip, "skip"));
  says(row(Bell::kAwake, "awake"));
  says(row(Bell::kParked, "parked"));
  says(row(Bell::kUnattended, "unattended"));
  says("`kRingBytes` | " + std::to_string(kRingBytes) + " bytes");
  says("`kMaxRecordBytes` | " + std::to_string(kMaxRecordBytes) + " bytes");
  says("| `version` | head, once | " + std::to_string(kRingsVersion) + " |");
}

}  // namespace
}  // namespace kiln::shm
