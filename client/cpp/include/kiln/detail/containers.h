// How the standard containers are written as msgpack: sequences and sets as lists, maps as maps,
// pairs and tuples as lists of fixed length.
//
// Not part of the API. Thread: any.
#pragma once

#include <array>
#include <charconv>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kiln/detail/codec.h"

namespace kiln::detail {

// Unpacks the element or field called `step` of a container; a mismatch says where it was.
template <typename T, typename Step>
T UnpackElement(Unpacker& in, const Step& step) {
  try {
    return Codec<T>::Unpack(in);
  } catch (Mismatch& mismatch) {
    if constexpr (std::is_integral_v<Step>) {
      mismatch.PrependPath("[" + std::to_string(step) + "]");
    } else {
      mismatch.PrependPath(step());
    }
    throw;
  }
}

// Containers whose elements are added one by one at the end.
template <typename Container>
struct ListCodec {
  using Element = typename Container::value_type;

  static void Pack(Packer& out, const Container& values) {
    out.ListHeader(values.size());
    for (const auto& value : values) Codec<Element>::Pack(out, value);
  }
  static Container Unpack(Unpacker& in, const std::string& name) {
    Unpacker::Nesting nesting(in);
    Container values;
    size_t count = in.ReadListHeader(name);
    for (size_t i = 0; i < count; ++i) values.insert(values.end(), UnpackElement<Element>(in, i));
    return values;
  }
};

template <typename T>
struct Codec<std::vector<T>> : ListCodec<std::vector<T>> {
  static std::string Name() { return "std::vector<" + Codec<T>::Name() + ">"; }
  static std::vector<T> Unpack(Unpacker& in) {
    return ListCodec<std::vector<T>>::Unpack(in, Name());
  }
};

// Bytes, wherever they are.
template <>
struct Codec<std::vector<std::byte>> {
  static std::string Name() { return "std::vector<std::byte>"; }
  static void Pack(Packer& out, const std::vector<std::byte>& value) {
    out.Bytes({reinterpret_cast<const char*>(value.data()), value.size()});
  }
  static std::vector<std::byte> Unpack(Unpacker& in) {
    std::string_view bytes = in.ReadBytes();
    const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
    return {data, data + bytes.size()};
  }
};

template <typename T>
struct Codec<std::deque<T>> : ListCodec<std::deque<T>> {
  static std::string Name() { return "std::deque<" + Codec<T>::Name() + ">"; }
  static std::deque<T> Unpack(Unpacker& in) { return ListCodec<std::deque<T>>::Unpack(in, Name()); }
};

template <typename T>
struct Codec<std::set<T>> : ListCodec<std::set<T>> {
  static std::string Name() { return "std::set<" + Codec<T>::Name() + ">"; }
  static std::set<T> Unpack(Unpacker& in) { return ListCodec<std::set<T>>::Unpack(in, Name()); }
};

template <typename T>
struct Codec<std::unordered_set<T>> : ListCodec<std::unordered_set<T>> {
  static std::string Name() { return "std::unordered_set<" + Codec<T>::Name() + ">"; }
  static std::unordered_set<T> Unpack(Unpacker& in) {
    return ListCodec<std::unordered_set<T>>::Unpack(in, Name());
  }
};

// Keys of JSON objects are text, so a number may come as text where a key is wanted.
template <typename Key>
Key UnpackKey(Unpacker& in) {
  if constexpr (std::is_integral_v<Key> && !std::is_same_v<Key, bool>) {
    if (in.Peek() == Unpacker::Type::kText) {
      Unpacker before = in;
      std::string_view text = in.ReadText();
      Key key{};
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), key);
      if (error != std::errc() || end != text.data() + text.size()) {
        before.Refuse(Codec<Key>::Name() + " as a key");
      }
      return key;
    }
  }
  return UnpackElement<Key>(in, [] { return std::string("(key)"); });
}

template <typename Map>
struct MapCodec {
  using Key = typename Map::key_type;
  using Value = typename Map::mapped_type;

  static std::string Arguments() {
    return "<" + Codec<Key>::Name() + ", " + Codec<Value>::Name() + ">";
  }
  static void Pack(Packer& out, const Map& map) {
    out.MapHeader(map.size());
    for (const auto& [key, value] : map) {
      Codec<Key>::Pack(out, key);
      Codec<Value>::Pack(out, value);
    }
  }
  static Map Unpack(Unpacker& in, const std::string& name) {
    Unpacker::Nesting nesting(in);
    Map map;
    for (size_t left = in.ReadMapHeader(name); left > 0; --left) {
      Key key = UnpackKey<Key>(in);
      Value value = UnpackElement<Value>(in, [&key] { return PathStep(key); });
      map.insert_or_assign(std::move(key), std::move(value));
    }
    return map;
  }

 private:
  static std::string PathStep(const Key& key) {
    if constexpr (std::is_convertible_v<const Key&, std::string_view>) {
      return "[\"" + std::string(std::string_view(key)) + "\"]";
    } else if constexpr (std::is_arithmetic_v<Key>) {
      return "[" + std::to_string(key) + "]";
    } else {
      return "[" + Codec<Key>::Name() + "]";
    }
  }
};

template <typename K, typename V>
struct Codec<std::map<K, V>> : MapCodec<std::map<K, V>> {
  static std::string Name() { return "std::map" + MapCodec<std::map<K, V>>::Arguments(); }
  static std::map<K, V> Unpack(Unpacker& in) {
    return MapCodec<std::map<K, V>>::Unpack(in, Name());
  }
};

template <typename K, typename V>
struct Codec<std::unordered_map<K, V>> : MapCodec<std::unordered_map<K, V>> {
  static std::string Name() {
    return "std::unordered_map" + MapCodec<std::unordered_map<K, V>>::Arguments();
  }
  static std::unordered_map<K, V> Unpack(Unpacker& in) {
    return MapCodec<std::unordered_map<K, V>>::Unpack(in, Name());
  }
};

// Reads a list header and refuses another length.
inline void ReadFixedList(Unpacker& in, size_t count, const std::string& name) {
  size_t got = in.ReadListHeader(name);
  if (got == count) return;
  throw Mismatch("expected " + name + ", got a list of " + std::to_string(got));
}

template <typename T, size_t N>
struct Codec<std::array<T, N>> {
  static std::string Name() {
    return "std::array<" + Codec<T>::Name() + ", " + std::to_string(N) + ">";
  }
  static void Pack(Packer& out, const std::array<T, N>& values) {
    out.ListHeader(N);
    for (const T& value : values) Codec<T>::Pack(out, value);
  }
  static std::array<T, N> Unpack(Unpacker& in) {
    ReadFixedList(in, N, Name());
    return [&in]<size_t... I>(std::index_sequence<I...>) {
      return std::array<T, N>{UnpackElement<T>(in, I)...};
    }
    (std::make_index_sequence<N>());
  }
};

template <typename... T>
struct Codec<std::tuple<T...>> {
  static std::string Name() {
    std::string names;
    ((names += (names.empty() ? "" : ", ") + Codec<T>::Name()), ...);
    return "std::tuple<" + names + ">";
  }
  static void Pack(Packer& out, const std::tuple<T...>& values) {
    out.ListHeader(sizeof...(T));
    std::apply([&out](const T&... value) { (Codec<T>::Pack(out, value), ...); }, values);
  }
  static std::tuple<T...> Unpack(Unpacker& in) {
    ReadFixedList(in, sizeof...(T), Name());
    return [&in]<size_t... I>(std::index_sequence<I...>) {
      return std::tuple<T...>{UnpackElement<T>(in, I)...};
    }
    (std::index_sequence_for<T...>());
  }
};

template <typename A, typename B>
struct Codec<std::pair<A, B>> {
  static std::string Name() {
    return "std::pair<" + Codec<A>::Name() + ", " + Codec<B>::Name() + ">";
  }
  static void Pack(Packer& out, const std::pair<A, B>& value) {
    out.ListHeader(2);
    Codec<A>::Pack(out, value.first);
    Codec<B>::Pack(out, value.second);
  }
  static std::pair<A, B> Unpack(Unpacker& in) {
    ReadFixedList(in, 2, Name());
    return std::pair<A, B>{UnpackElement<A>(in, 0), UnpackElement<B>(in, 1)};
  }
};

}  // namespace kiln::detail
