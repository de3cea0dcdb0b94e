#include "kiln/detail/value.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "client/cpp/src/throw_error.h"
#include "common/limits.h"
#include "common/value/ndarray.h"
#include "common/value/value.h"
#include "kiln/detail/msgpack.h"
#include "kiln/error.h"
#include "kiln/ref.h"

namespace kiln::detail {
namespace {

constexpr std::string_view kNilBody("\xc0", 1);

// The body of an array: {"dtype": .., "shape": [..]}.
std::string NumbersBody(std::string_view dtype, const std::vector<size_t>& shape) {
  Packer packer;
  packer.MapHeader(2);
  packer.Text("dtype");
  packer.Text(dtype);
  packer.Text("shape");
  packer.ListHeader(shape.size());
  for (size_t length : shape) packer.Unsigned(length);
  return std::move(packer.bytes);
}

// Throws: std::length_error.
size_t CountBytes(const std::vector<size_t>& shape, size_t item_bytes, size_t* count) {
  constexpr size_t kMost = size_t{1} << 48;  // more than any machine has
  size_t bytes = 0;
  *count = 1;
  bool overflow = false;
  for (size_t length : shape) overflow |= __builtin_mul_overflow(*count, length, count);
  overflow |= __builtin_mul_overflow(*count, item_bytes, &bytes);
  if (overflow || bytes > kMost || shape.size() > value::kMaxAxes) {
    throw std::length_error("kiln: an array larger than any memory, or of more than 32 axes");
  }
  return bytes;
}

std::shared_ptr<void> PrivateMemory(size_t bytes) {
  auto free = [](void* data) {
    ::operator delete (data, std::align_val_t{value::kBufferAlignment});
  };
  return {::operator new (std::max<size_t>(bytes, 1), std::align_val_t{value::kBufferAlignment}),
          free};
}

}  // namespace

Incoming ReadValue(const value::SharedBytes& bytes) {
  Result<value::View> view = value::ParseValue(bytes.view());
  if (!view.ok()) throw TypeMismatchError(view.status().message());
  Incoming incoming;
  incoming.owner = bytes.owner;
  switch (view->kind) {
    case value::Kind::kNull:
      incoming.body = kNilBody;
      break;
    case value::Kind::kMsgpack:
      incoming.body = view->body;
      break;
    case value::Kind::kNdarray: {
      Result<value::NdarrayView> array = value::ParseNdarray(*view);
      if (!array.ok()) throw TypeMismatchError(array.status().message());
      incoming.form = Incoming::Form::kNumbers;
      incoming.numbers = {value::DtypeName(array->type), std::move(array->shape), array->data,
                          array->count};
      break;
    }
    case value::Kind::kPickle:
      incoming.form = Incoming::Form::kPython;
      break;
    case value::Kind::kError:
      ThrowError(DecodeError(bytes.view()));
  }
  return incoming;
}

std::vector<Incoming> GetAll(Runtime& runtime, std::span<const Id> ids, Timeout timeout) {
  if (ids.empty()) return {};
  std::optional<std::vector<value::SharedBytes>> values = runtime.Get(ids, timeout);
  if (!values) {
    std::string what = ids.size() == 1 ? "the object " + FormatId(ids[0]) + " is"
                                       : "some of " + std::to_string(ids.size()) + " objects are";
    throw GetTimeoutError(
        what + " not there after " +
        std::to_string(timeout.value_or(Timeout::value_type{}).count() / 1'000'000) + " ms");
  }
  std::vector<Incoming> incoming;
  incoming.reserve(values->size());
  for (const value::SharedBytes& bytes : *values) incoming.push_back(ReadValue(bytes));
  return incoming;
}

PartsPtr MakeNull() {
  return std::make_shared<value::Parts>();
}

PartsPtr MakeMsgpack(Packer packer) {
  auto parts = std::make_shared<value::Parts>();
  parts->kind = value::Kind::kMsgpack;
  parts->body = std::move(packer.bytes);
  if (packer.references.empty()) return parts;
  using Handles = std::vector<std::shared_ptr<const RefHandle>>;
  auto handles = std::make_shared<const Handles>(std::move(packer.references));
  for (const auto& handle : *handles) parts->contained.push_back(handle->id());
  parts->owner = std::move(handles);
  return parts;
}

PartsPtr MakeNumbers(const Numbers& numbers, size_t item_bytes, std::shared_ptr<const void> owner,
                     const std::shared_ptr<RoomClaim>& claim) {
  auto parts = std::make_shared<value::Parts>();
  parts->kind = value::Kind::kNdarray;
  parts->body = NumbersBody(numbers.dtype, numbers.shape);
  parts->buffers.emplace_back(numbers.data, numbers.count * item_bytes);
  parts->owner = std::move(owner);
  if (claim != nullptr && !claim->taken.exchange(true)) parts->room = claim->room;
  return parts;
}

NewNumbers CreateNumbers(Runtime* runtime, std::string_view dtype, const std::vector<size_t>& shape,
                         size_t item_bytes) {
  NewNumbers numbers;
  size_t bytes = CountBytes(shape, item_bytes, &numbers.count);
  // A small value rides in a frame: it is copied anyway, and a room would cost a round trip.
  if (runtime == nullptr || bytes <= limits::kInlineLimitBytes) {
    numbers.owner = PrivateMemory(bytes);
    numbers.data = static_cast<std::byte*>(numbers.owner.get());
    return numbers;
  }
  size_t offset = value::FirstBufferOffset(NumbersBody(dtype, shape).size());
  std::shared_ptr<value::Room> room = runtime->Create(offset + bytes);
  numbers.data = room->data() + offset;
  numbers.owner = room;
  numbers.claim = std::make_shared<RoomClaim>(std::move(room));
  return numbers;
}

std::string Describe(const Incoming& value) {
  if (value.form == Incoming::Form::kPython) return "a Python object";
  if (value.form == Incoming::Form::kMsgpack) return "a value";
  std::string shape;
  for (size_t length : value.numbers.shape) {
    shape += (shape.empty() ? "" : ", ") + std::to_string(length);
  }
  return "an array " + std::string(value.numbers.dtype) + " of shape [" + shape + "]";
}

}  // namespace kiln::detail
