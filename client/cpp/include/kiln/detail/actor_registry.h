// The classes of actors that this process can make and call, as the templates of the public headers
// see them (worker/actor_registry.cc).
//
// Filled by static initialisers: of KILN_ACTOR, and of each Session::Create for its types of
// arguments, in any order.
//
// Not part of the API. Thread: any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "kiln/detail/runtime.h"

namespace kiln::detail {

struct Incoming;  // kiln/detail/value.h

// Stands for a class, as the address of a function stands for that: `&ClassKey<T>`.
using ClassKeyFunction = const char* (*)();
template <typename T>
__attribute__((visibility("default"))) const char* ClassKey() {
  return typeid(T).name();
}

// A pointer to a member function, whatever its type.
struct MethodPointer {
  std::array<std::byte, 2 * sizeof(void*)> bytes{};

  template <typename M>
  static MethodPointer Of(M method) {
    static_assert(sizeof method <= sizeof bytes);
    MethodPointer pointer;
    std::memcpy(pointer.bytes.data(), &method, sizeof method);
    return pointer;
  }
  template <typename M>
  M As() const {
    M method;
    std::memcpy(&method, bytes.data(), sizeof method);
    return method;
  }
  bool operator==(const MethodPointer&) const = default;
};

// As Invoker, with the instance to call the method of.
using MethodInvoker = std::vector<std::shared_ptr<value::Parts>> (*)(
    void* instance, const MethodPointer& method, std::span<const Incoming> arguments,
    uint32_t num_returns, bool each);
// Decodes the arguments and makes an instance. Throws: BadCall; anything the constructor throws.
using InstanceMaker = std::shared_ptr<void> (*)(std::span<const Incoming> arguments);

struct MethodEntry {
  std::string name;
  std::string signature;  // parameter types: "int, std::string"
  MethodPointer pointer;
  MethodInvoker invoker = nullptr;  // also tells apart pointers of different types
};

struct ConstructorEntry {
  std::string signature;
  size_t parameters = 0;
  InstanceMaker make = nullptr;
  bool listed = false;  // by KILN_ACTOR: other languages may call it
};

// Called by KILN_ACTOR's static initialisers. A second class of the same name in the same program
// or library is remembered as a clash and reported when it is used.
bool RegisterActor(ClassKeyFunction key, const char* name, std::vector<MethodEntry> methods,
                   std::vector<ConstructorEntry> constructors);
// Called by the static initialisers of Session::Create.
bool RegisterConstructor(ClassKeyFunction key, ConstructorEntry constructor);

// How a class is made by the constructor with this signature.
// Throws: std::invalid_argument (the class has no KILN_ACTOR, or shares its name).
ActorConstructor ConstructorOf(ClassKeyFunction key, const std::string& signature);
// The name it was registered under. Throws: as ConstructorOf.
const std::string& ClassNameOf(ClassKeyFunction key);
// Throws: std::invalid_argument (KILN_ACTOR of the class does not list the method).
const std::string& MethodNameOf(ClassKeyFunction key, MethodInvoker invoker,
                                const MethodPointer& pointer);

}  // namespace kiln::detail
