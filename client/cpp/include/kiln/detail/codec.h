// How single types are written as msgpack: numbers, text, enums, optionals, structs and refs.
// Containers are in containers.h, arrays of numbers in numbers.h.
//
// Not part of the API. Thread: any.
#pragma once

#include <bitset>
#include <concepts>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "kiln/detail/msgpack.h"
#include "kiln/detail/type_name.h"
#include "kiln/ref.h"

namespace kiln::detail {

// Codec<T> has
//   static std::string Name();                    // of T, for messages
//   static void Pack(Packer& out, const T& value);
//   static T Unpack(Unpacker& in);                // Throws: Mismatch
template <typename T>
struct Codec {
  static_assert(!std::is_same_v<T, T>,
                "kiln: this type cannot travel between processes. Those that can: numbers, bool, "
                "enums, std::string, the standard containers, pair, tuple, optional, kiln::Ref, "
                "kiln::Array, and structs with KILN_STRUCT. No pointers and no references to "
                "non-const.");
};

template <>
struct Codec<bool> {
  static std::string Name() { return "bool"; }
  static void Pack(Packer& out, bool value) { out.Bool(value); }
  static bool Unpack(Unpacker& in) { return in.ReadBool(); }
};

template <std::integral T>
struct Codec<T> {
  static_assert(sizeof(T) <= 8);
  static std::string Name() { return TypeName<T>(); }
  static void Pack(Packer& out, T value) {
    if constexpr (std::is_signed_v<T>) {
      out.Signed(value);
    } else {
      out.Unsigned(value);
    }
  }
  static T Unpack(Unpacker& in) {
    static const std::string name = Name();
    using Limits = std::numeric_limits<T>;
    if constexpr (std::is_signed_v<T>) {
      return static_cast<T>(in.ReadSigned(Limits::min(), Limits::max(), name.c_str()));
    } else {
      return static_cast<T>(in.ReadUnsigned(Limits::max(), name.c_str()));
    }
  }
};

template <>
struct Codec<double> {
  static std::string Name() { return "double"; }
  static void Pack(Packer& out, double value) { out.Double(value); }
  static double Unpack(Unpacker& in) { return in.ReadReal("double"); }
};

// A double is rounded to the nearest float, as C++ does; one beyond its range is refused.
template <>
struct Codec<float> {
  static std::string Name() { return "float"; }
  static void Pack(Packer& out, float value) { out.Float(value); }
  static float Unpack(Unpacker& in) {
    Unpacker before = in;
    double value = in.ReadReal("float");
    double magnitude = value < 0 ? -value : value;
    bool finite = magnitude <= std::numeric_limits<double>::max();
    if (finite && magnitude > std::numeric_limits<float>::max()) before.Refuse("float");
    return static_cast<float>(value);
  }
};

template <typename T>
requires std::is_enum_v<T>
struct Codec<T> {
  using Number = std::underlying_type_t<T>;
  static std::string Name() { return TypeName<T>(); }
  static void Pack(Packer& out, T value) { Codec<Number>::Pack(out, static_cast<Number>(value)); }
  static T Unpack(Unpacker& in) { return static_cast<T>(Codec<Number>::Unpack(in)); }
};

template <>
struct Codec<std::string> {
  static std::string Name() { return "std::string"; }
  static void Pack(Packer& out, const std::string& value) { out.Text(value); }
  static std::string Unpack(Unpacker& in) { return std::string(in.ReadText()); }
};

// For parameters only: points into the received value.
template <>
struct Codec<std::string_view> {
  static std::string Name() { return "std::string_view"; }
  static void Pack(Packer& out, std::string_view value) { out.Text(value); }
  static std::string_view Unpack(Unpacker& in) { return in.ReadText(); }
};

template <typename T>
struct Codec<std::optional<T>> {
  static std::string Name() { return "std::optional<" + Codec<T>::Name() + ">"; }
  static void Pack(Packer& out, const std::optional<T>& value) {
    if (value) {
      Codec<T>::Pack(out, *value);
    } else {
      out.Nil();
    }
  }
  static std::optional<T> Unpack(Unpacker& in) {
    if (in.Peek() != Unpacker::Type::kNil) return Codec<T>::Unpack(in);
    in.ReadNil();
    return std::nullopt;
  }
};

template <typename T>
struct Codec<Ref<T>> {
  static std::string Name() {
    if constexpr (std::is_void_v<T>) {
      return "kiln::Ref<void>";
    } else {
      return "kiln::Ref<" + Codec<T>::Name() + ">";
    }
  }
  static void Pack(Packer& out, const Ref<T>& value) { out.Reference(value.handle()); }
  static Ref<T> Unpack(Unpacker& in) {
    Id id = in.ReadReference();
    const std::shared_ptr<Runtime>& runtime = in.runtime();
    if (runtime == nullptr) throw Mismatch("a ref outside of a session");
    runtime->Retain(id);
    return Ref<T>(std::make_shared<const RefHandle>(runtime, id));
  }
};

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

// Structs with KILN_STRUCT: a map by field name.
template <typename T>
requires(T::kKilnStruct) struct Codec<T> {
  static std::string Name() { return TypeName<T>(); }

  static void Pack(Packer& out, const T& value) {
    size_t count = 0;
    T::KilnVisitFields(value, [&](const char*, const auto&) { ++count; });
    out.MapHeader(count);
    T::KilnVisitFields(value, [&](const char* name, const auto& field) {
      out.Text(name);
      Codec<std::remove_cvref_t<decltype(field)>>::Pack(out, field);
    });
  }

  static T Unpack(Unpacker& in) {
    Unpacker::Nesting nesting(in);
    T value{};
    std::bitset<256> seen;
    for (size_t left = in.ReadMapHeader(Name()); left > 0; --left) {
      std::string_view key = in.ReadText();
      size_t index = ReadField(in, key, value);
      if (seen[index]) throw Mismatch("field \"" + std::string(key) + "\" is given twice");
      seen[index] = true;
    }
    RequireAll(value, seen);
    return value;
  }

 private:
  // Returns: the field's position.
  static size_t ReadField(Unpacker& in, std::string_view key, T& value) {
    size_t index = 0;
    std::optional<size_t> found;
    T::KilnVisitFields(value, [&](const char* name, auto& field) {
      if (!found && key == name) {
        found = index;
        UnpackAt<std::remove_cvref_t<decltype(field)>>(in, "." + std::string(name), field);
      }
      ++index;
    });
    if (!found) throw Mismatch(Name() + " has no field \"" + std::string(key) + "\"" + Fields());
    return *found;
  }

  template <typename Field>
  static void UnpackAt(Unpacker& in, const std::string& step, Field& field) {
    try {
      field = Codec<Field>::Unpack(in);
    } catch (Mismatch& mismatch) {
      mismatch.PrependPath(step);
      throw;
    }
  }

  static void RequireAll(T& value, const std::bitset<256>& seen) {
    size_t index = 0;
    T::KilnVisitFields(value, [&](const char* name, auto& field) {
      if (!seen[index++] && !kIsOptional<std::remove_cvref_t<decltype(field)>>) {
        throw Mismatch(Name() + " without its field \"" + name + "\"");
      }
    });
  }

  static std::string Fields() {
    std::string names;
    T value{};
    T::KilnVisitFields(value, [&](const char* name, auto&) {
      names += names.empty() ? "; its fields: " : ", ";
      names += name;
    });
    return names;
  }
};

}  // namespace kiln::detail
