// Values on their way in and out, as the templates of the public headers see them. The layout of an
// encoded value stays inside libkiln.
//
// Not part of the API. Thread: any; plain data and functions.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kiln/detail/runtime.h"

namespace kiln::detail {

class Packer;  // kiln/detail/msgpack.h

using PartsPtr = std::shared_ptr<value::Parts>;
using Timeout = std::optional<std::chrono::nanoseconds>;

// Numbers in C order, somewhere in memory.
struct Numbers {
  std::string_view dtype;     // NumPy's name: "<f8"
  std::vector<size_t> shape;  // empty: one number
  const std::byte* data = nullptr;
  size_t count = 0;  // elements
};

// A received value, taken apart and checked.
struct Incoming {
  enum class Form : uint8_t { kMsgpack, kNumbers, kPython };
  Form form = Form::kMsgpack;
  std::string_view body;              // kMsgpack; null is msgpack's nil
  Numbers numbers;                    // kNumbers
  std::shared_ptr<const void> owner;  // keeps body and numbers alive
};

// Throws: the error if the value is one; TypeMismatchError if the bytes are no value.
Incoming ReadValue(const value::SharedBytes& bytes);

// Waits for all objects. Throws: GetTimeoutError, the first error among them, DisconnectedError.
std::vector<Incoming> GetAll(Runtime& runtime, std::span<const Id> ids, Timeout timeout);

PartsPtr MakeNull();
PartsPtr MakeMsgpack(Packer packer);

// A room that can become an object once: the first value made of it takes it, later ones copy.
struct RoomClaim {
  explicit RoomClaim(std::shared_ptr<value::Room> the_room) : room(std::move(the_room)) {}
  const std::shared_ptr<value::Room> room;
  std::atomic<bool> taken = false;
};

// `owner` keeps the numbers alive, null: the caller does. `claim`: see CreateNumbers; may be null.
PartsPtr MakeNumbers(const Numbers& numbers, size_t item_bytes, std::shared_ptr<const void> owner,
                     const std::shared_ptr<RoomClaim>& claim);

// Room for numbers that can become an object where they lie.
struct NewNumbers {
  std::byte* data = nullptr;  // 64-byte aligned, not initialised
  size_t count = 0;
  std::shared_ptr<void> owner;
  std::shared_ptr<RoomClaim> claim;  // null: private memory, copied when it becomes an object
};
// `runtime`: null for private memory. Throws: ObjectStoreFullError, std::length_error.
NewNumbers CreateNumbers(Runtime* runtime, std::string_view dtype, const std::vector<size_t>& shape,
                         size_t item_bytes);

// Converts element by element under the rules for single numbers: integers that fit, integers to
// reals; never reals to integers.
// Throws: Mismatch. Requires: `out` has room for numbers.count elements of `dtype`.
void ConvertNumbers(const Numbers& numbers, std::string_view dtype, std::byte* out);

// "an array <f8 of shape [2, 3]", "a Python object", ...
std::string Describe(const Incoming& value);

}  // namespace kiln::detail
