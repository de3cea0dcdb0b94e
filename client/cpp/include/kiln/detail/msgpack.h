// msgpack, as much of it as values need: https://github.com/msgpack/msgpack/blob/master/spec.md
//
// Written out here and not taken from a library so that the public headers need nothing but the
// standard library, compile fast, and can say where and why a value does not fit.
//
// Not part of the API. Thread: none; each object belongs to one call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kiln/detail/runtime.h"

namespace kiln::detail {

class RefHandle;  // kiln/ref.h

// A value does not fit a type. Leaves libkiln as BadArgumentsError or TypeMismatchError.
class Mismatch : public std::exception {
 public:
  explicit Mismatch(std::string message) : message_(std::move(message)) {}

  // Called on the way out of nested values, innermost first: "[3]", ".name".
  void PrependPath(std::string_view step) { path_.insert(0, step); }
  // "[3].name: expected int, got null"
  std::string Text() const { return path_.empty() ? message_ : path_ + ": " + message_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string path_;
  std::string message_;
};

// Appends msgpack to `bytes`, each in its shortest form.
class Packer {
 public:
  void Nil();
  void Bool(bool value);
  void Signed(int64_t value);
  void Unsigned(uint64_t value);
  void Float(float value);
  void Double(double value);
  void Text(std::string_view text);
  void Bytes(std::string_view bytes);
  void ListHeader(size_t count);
  void MapHeader(size_t count);
  // Requires: handle is not null.
  void Reference(std::shared_ptr<const RefHandle> handle);

  std::string bytes;
  std::vector<std::shared_ptr<const RefHandle>> references;  // in order of packing

 private:
  void Header(uint8_t first, uint64_t number, int number_bytes);
};

// Reads one msgpack value from bytes that may be anything. Every Read throws Mismatch if something
// else comes next or the bytes end.
class Unpacker {
 public:
  // `runtime`: whose objects the refs inside are; null refuses refs. Both outlive this.
  Unpacker(std::string_view bytes, const std::shared_ptr<Runtime>& runtime)
      : rest_(bytes), runtime_(runtime) {}

  enum class Type { kNil, kBool, kInteger, kReal, kText, kBytes, kList, kMap, kRef, kOther };
  Type Peek() const;

  void ReadNil();
  bool ReadBool();
  // `expected`: the C++ type, for the message.
  int64_t ReadSigned(int64_t least, int64_t most, const char* expected);
  uint64_t ReadUnsigned(uint64_t most, const char* expected);
  // Integers are accepted.
  double ReadReal(const char* expected);
  // Bytes are accepted, as text may be. The result points into the bytes read.
  std::string_view ReadText();
  std::string_view ReadBytes();
  // Returns: the number of elements (entries), which is never more than bytes are left.
  size_t ReadListHeader(const std::string& expected);
  size_t ReadMapHeader(const std::string& expected);
  Id ReadReference();
  // Throws: Mismatch if anything is left.
  void ExpectEnd() const;

  const std::shared_ptr<Runtime>& runtime() const { return runtime_; }

  // Counts nesting while it lives: a struct may contain itself, and hostile bytes without end.
  class Nesting {
   public:
    explicit Nesting(Unpacker& unpacker);
    ~Nesting() { --unpacker_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Unpacker& unpacker_;
  };

  [[noreturn]] void Refuse(std::string_view expected) const;

 private:
  struct Integer {
    uint64_t bits;
    bool negative;
  };

  // What comes next, for people: "string \"x\"".
  std::string DescribeNext() const;
  std::string_view Take(size_t count);
  uint64_t TakeNumber(size_t bytes);
  Integer TakeInteger(const char* expected);
  // Length of text, bytes, ext, list or map, after its first byte.
  size_t TakeLength(uint8_t first);

  std::string_view rest_;
  const std::shared_ptr<Runtime>& runtime_;
  int depth_ = 0;
};

}  // namespace kiln::detail
