// How whole values are written: arrays and vectors of numbers as their bytes, without a copy where
// that is possible; everything else as msgpack.
//
// Not part of the API. Thread: any.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kiln/array.h"
#include "kiln/detail/codec.h"
#include "kiln/detail/containers.h"
#include "kiln/detail/value.h"

namespace kiln::detail {

// Only whole values are arrays: inside a container there is no place for their bytes.
template <typename T>
struct Codec<Array<T>> {
  static std::string Name() { return "kiln::Array<" + Codec<T>::Name() + ">"; }
  static void Pack(Packer&, const Array<T>&) { Refuse<T>(); }
  static Array<T> Unpack(Unpacker&) { return Refuse<T>(); }

 private:
  template <typename U>
  static Array<U> Refuse() {
    static_assert(!std::is_same_v<U, U>,
                  "kiln: an Array cannot lie inside a container or struct; put it and pass its "
                  "Ref<Array<T>>, or use a std::vector");
    return {};
  }
};

template <typename T>
struct Codec<std::span<const T>> {
  static std::string Name() { return "std::span<const " + Codec<T>::Name() + ">"; }
};

// ValueCodec<T> has
//   static PartsPtr Encode(const T& value);   // may point into `value`: keep it until written
//   static PartsPtr EncodeOwned(T value);     // stands alone
//   static T Decode(const Incoming& value, const std::shared_ptr<Runtime>& runtime);
//                                             // Throws: Mismatch. `runtime`: of refs inside
template <typename T>
struct ValueCodec {
  static PartsPtr Encode(const T& value) {
    Packer packer;
    Codec<T>::Pack(packer, value);
    return MakeMsgpack(std::move(packer));
  }
  static PartsPtr EncodeOwned(const T& value) { return Encode(value); }
  static T Decode(const Incoming& value, const std::shared_ptr<Runtime>& runtime) {
    if (value.form != Incoming::Form::kMsgpack) {
      throw Mismatch("expected " + Codec<T>::Name() + ", got " + Describe(value));
    }
    Unpacker in(value.body, runtime);
    T result = Codec<T>::Unpack(in);
    in.ExpectEnd();
    return result;
  }
};

// Reads numbers in nested lists, as they come from JSON.
template <typename T>
class NestedLists {
 public:
  NestedLists(std::string_view body, const std::shared_ptr<Runtime>& runtime, std::string expected)
      : in_(body, runtime), expected_(std::move(expected)) {
    ReadList(0);
    in_.ExpectEnd();
  }

  std::vector<T> TakeNumbers() { return std::move(numbers_); }
  const std::vector<size_t>& shape() const { return shape_; }

 private:
  static constexpr size_t kMaxAxes = 32;

  void ReadList(size_t axis) {
    size_t count = in_.ReadListHeader(expected_);
    if (axis == shape_.size() && !complete_ && axis < kMaxAxes) {
      shape_.push_back(count);
    } else if (axis >= shape_.size() || shape_[axis] != count) {
      throw Mismatch("expected " + expected_ + ", got lists of different lengths");
    }
    for (size_t i = 0; i < count; ++i) ReadElement(axis + 1);
  }

  void ReadElement(size_t axis) {
    if (in_.Peek() == Unpacker::Type::kList) return ReadList(axis);
    complete_ = true;
    if (axis != shape_.size()) {
      throw Mismatch("expected " + expected_ + ", got lists of different depths");
    }
    numbers_.push_back(Codec<T>::Unpack(in_));
  }

  Unpacker in_;
  std::string expected_;
  std::vector<size_t> shape_;
  bool complete_ = false;  // a number was seen: the number of axes is known
  std::vector<T> numbers_;
};

template <typename T>
PartsPtr EncodeNumbers(std::span<const T> numbers, std::vector<size_t> shape,
                       std::shared_ptr<const void> owner,
                       const std::shared_ptr<RoomClaim>& claim = nullptr) {
  const auto* data = reinterpret_cast<const std::byte*>(numbers.data());
  return MakeNumbers({Dtype<T>(), std::move(shape), data, numbers.size()}, sizeof(T),
                     std::move(owner), claim);
}

// Numbers of any type or shape, or lists of them, as an array; without a copy if the type is T.
template <typename T>
Array<T> DecodeNumbers(const Incoming& value, const std::shared_ptr<Runtime>& runtime,
                       const std::string& expected) {
  if (value.form == Incoming::Form::kPython) {
    throw Mismatch("expected " + expected + ", got " + Describe(value));
  }
  if (value.form == Incoming::Form::kMsgpack) {
    NestedLists<T> lists(value.body, runtime, expected);
    auto kept = std::make_shared<const std::vector<T>>(lists.TakeNumbers());
    return Array<T>(kept->data(), lists.shape(), kept->size(), kept);
  }
  const Numbers& numbers = value.numbers;
  if (numbers.dtype == Dtype<T>()) {
    const auto* data = reinterpret_cast<const T*>(numbers.data);
    return Array<T>(data, numbers.shape, numbers.count, value.owner);
  }
  auto kept = std::make_shared<std::vector<T>>(numbers.count);
  ConvertNumbers(numbers, Dtype<T>(), reinterpret_cast<std::byte*>(kept->data()));
  return Array<T>(kept->data(), numbers.shape, numbers.count, kept);
}

template <typename T>
Array<T> DecodeFlatNumbers(const Incoming& value, const std::shared_ptr<Runtime>& runtime,
                           const std::string& expected) {
  Array<T> array = DecodeNumbers<T>(value, runtime, expected);
  if (array.shape().size() > 1) {
    throw Mismatch("expected " + expected + ", got an array of " +
                   std::to_string(array.shape().size()) + " axes");
  }
  return array;
}

template <typename T>
struct ValueCodec<Array<T>> {
  static PartsPtr Encode(const Array<T>& array) {
    return EncodeNumbers(array.span(), array.shape(), array.owner(), array.claim());
  }
  static PartsPtr EncodeOwned(const Array<T>& array) { return Encode(array); }
  static Array<T> Decode(const Incoming& value, const std::shared_ptr<Runtime>& runtime) {
    return DecodeNumbers<T>(value, runtime, Codec<Array<T>>::Name());
  }
};

template <typename T>
requires kIsNumber<T>
struct ValueCodec<std::vector<T>> {
  static PartsPtr Encode(const std::vector<T>& values) {
    return EncodeNumbers<T>(values, {values.size()}, nullptr);
  }
  static PartsPtr EncodeOwned(std::vector<T> values) {
    auto kept = std::make_shared<const std::vector<T>>(std::move(values));
    return EncodeNumbers<T>(*kept, {kept->size()}, kept);
  }
  static std::vector<T> Decode(const Incoming& value, const std::shared_ptr<Runtime>& runtime) {
    Array<T> array = DecodeFlatNumbers<T>(value, runtime, Codec<std::vector<T>>::Name());
    return {array.begin(), array.end()};
  }
};

// For parameters only; decoded into an Array that the span then views.
template <typename T>
struct ValueCodec<std::span<const T>> {
  static PartsPtr Encode(std::span<const T> values) {
    return EncodeNumbers<T>(values, {values.size()}, nullptr);
  }
  static Array<T> Decode(const Incoming& value, const std::shared_ptr<Runtime>& runtime) {
    return DecodeFlatNumbers<T>(value, runtime, Codec<std::span<const T>>::Name());
  }
};

}  // namespace kiln::detail
