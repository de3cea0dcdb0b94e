// Records in memory files (memfd): what is too long for a message travels as a descriptor.
//
//   MemoryFileWriter writer;            MemoryFileReader reader(fd);
//   writer.Text(name);                  name = reader.Text();
//   int fd = writer.Make("kiln-x");     if (!reader.complete()) ...
//
// Both ends are of one build and one machine: no versions, no byte order.
//
// Thread: plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln {

// A number takes 64 bits; a text is its length and its bytes; a list its length and its texts.
class MemoryFileWriter {
 public:
  void Number(uint64_t number);
  void Text(const std::string& text);
  void List(const std::vector<std::string>& list);
  // Returns: the descriptor of a new file that holds it all, close-on-exec, yours; -1, with errno,
  // if there is no room.
  int Make(const char* name) const;

 private:
  std::string bytes_;
};

class MemoryFileReader {
 public:
  // Reads the whole file; `fd` stays the caller's, wherever it stands.
  explicit MemoryFileReader(int fd);
  // Each is 0 or empty once something was missing.
  uint64_t Number();
  std::string Text();
  std::vector<std::string> List();
  // True if all was there, and nothing more.
  bool complete() const { return good_ && at_ == bytes_.size(); }

 private:
  bool Has(uint64_t size);

  std::string bytes_;
  size_t at_ = 0;
  bool good_ = false;
};

}  // namespace kiln
