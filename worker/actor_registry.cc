#include "worker/actor_registry.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <unordered_map>

#include "common/guarded.h"
#include "worker/registry.h"
#include "worker/suggest.h"

namespace kiln::worker {
namespace {

using detail::ConstructorEntry;
using detail::MethodEntry;
using Classes = std::map<std::string, ActorClassEntry*, std::less<>>;  // by name; first of each

struct Registered {
  std::unordered_map<void*, ActorClassEntry> classes;     // by key; never erased
  std::map<std::string, Classes, std::less<>> libraries;  // by path
};

// Made by the first static initialiser that needs it, and never destroyed, as registry.cc's.
Guarded<Registered>& TheRegistry() {
  static auto* registry = new Guarded<Registered>();
  return *registry;
}

ActorClassEntry& EntryOf(Registered& registered, detail::ClassKeyFunction key) {
  return registered.classes[reinterpret_cast<void*>(key)];
}

void AddConstructor(ActorClassEntry& entry, ConstructorEntry constructor) {
  for (ConstructorEntry& known : entry.constructors) {
    if (known.signature != constructor.signature) continue;
    known.listed = known.listed || constructor.listed;
    return;
  }
  entry.constructors.push_back(std::move(constructor));
}

void AddMethod(ActorClassEntry& entry, MethodEntry method) {
  auto at = std::lower_bound(
      entry.methods.begin(), entry.methods.end(), method.name,
      [](const MethodEntry& known, const std::string& name) { return known.name < name; });
  if (at != entry.methods.end() && at->name == method.name) return;  // KILN_ACTOR in a header
  entry.methods.insert(at, std::move(method));
}

Status TwoClasses(const ActorClassEntry& entry) {
  return {Code::kFailedPrecondition,
          DescribeLibrary(entry.library) + " has two classes with KILN_ACTOR registered as " +
              entry.name + "; give one of them another name or a namespace"};
}

// Throws: std::invalid_argument.
const ActorClassEntry& Usable(detail::ClassKeyFunction key) {
  const ActorClassEntry* entry = TheRegistry().With(
      [&](Registered& registered) -> const ActorClassEntry* { return &EntryOf(registered, key); });
  if (entry->name.empty()) {
    throw std::invalid_argument(
        "kiln: a class without KILN_ACTOR; write KILN_ACTOR(Class, &Class::Method, ...); after its "
        "definition");
  }
  if (entry->clash) throw std::invalid_argument("kiln: " + TwoClasses(*entry).message());
  return *entry;
}

Result<FoundConstructor> ChooseConstructor(const ActorClassEntry& entry, std::string_view signature,
                                           bool by_signature, size_t parameters) {
  std::vector<const ConstructorEntry*> fitting;
  std::string listed;
  for (const ConstructorEntry& constructor : entry.constructors) {
    if (constructor.listed) {
      listed += (listed.empty() ? "" : ", ") + entry.name + "(" + constructor.signature + ")";
    }
    const bool fits = by_signature ? constructor.signature == signature
                                   : constructor.listed && constructor.parameters == parameters;
    if (fits) fitting.push_back(&constructor);
  }
  if (fitting.size() == 1) return FoundConstructor{&entry, fitting.front()};
  if (fitting.size() > 1) {
    return Status(Code::kFailedPrecondition, "two constructors of " + entry.name + " with " +
                                                 std::to_string(parameters) +
                                                 " parameters are listed in KILN_ACTOR: " + listed);
  }
  std::string wanted = by_signature
                           ? entry.name + "(" + std::string(signature) + ")"
                           : entry.name + " with " + std::to_string(parameters) + " parameters";
  return Status(
      Code::kNotFound,
      "no constructor " + wanted +
          (listed.empty() ? "; KILN_ACTOR lists none, write kiln::Constructor<...>() there"
                          : "; KILN_ACTOR lists " + listed));
}

}  // namespace

Result<FoundConstructor> FindConstructor(std::string_view library, std::string_view name,
                                         size_t parameters) {
  const size_t bracket = name.find('(');
  const bool by_signature = bracket != name.npos && name.ends_with(')');
  const std::string_view class_name = name.substr(0, bracket);
  const std::string_view signature =
      by_signature ? name.substr(bracket + 1, name.size() - bracket - 2) : std::string_view();
  return TheRegistry().With([&](Registered& registered) -> Result<FoundConstructor> {
    static const Classes kNone;
    auto classes = registered.libraries.find(library);
    const Classes& known = classes == registered.libraries.end() ? kNone : classes->second;
    auto entry = known.find(class_name);
    if (entry == known.end()) {
      std::vector<std::string> names;
      for (const auto& [known_name, unused] : known) names.push_back(known_name);
      return Status(Code::kNotFound, "no class " + std::string(class_name) + " in " +
                                         DescribeLibrary(library) +
                                         Suggest(names, class_name, "class with KILN_ACTOR"));
    }
    if (entry->second->clash) return TwoClasses(*entry->second);
    return ChooseConstructor(*entry->second, signature, by_signature, parameters);
  });
}

Result<const MethodEntry*> FindMethod(const ActorClassEntry& actor_class, std::string_view name) {
  for (const MethodEntry& method : actor_class.methods) {
    if (method.name == name) return &method;
  }
  std::vector<std::string> names;
  for (const MethodEntry& method : actor_class.methods) names.push_back(method.name);
  return Status(Code::kNotFound, "no method " + std::string(name) + " in " + actor_class.name +
                                     Suggest(names, name, "method in its KILN_ACTOR"));
}

std::vector<std::string> ListActorClasses(std::string_view library) {
  return TheRegistry().With([&](Registered& registered) {
    std::vector<std::string> names;
    auto classes = registered.libraries.find(library);
    if (classes == registered.libraries.end()) return names;
    for (const auto& [name, entry] : classes->second) names.push_back(name);
    return names;
  });
}

}  // namespace kiln::worker

namespace kiln::detail {

bool RegisterActor(ClassKeyFunction key, const char* name, std::vector<MethodEntry> methods,
                   std::vector<ConstructorEntry> constructors) {
  const std::string& library = worker::LibraryBeingLoaded();
  return worker::TheRegistry().With([&](worker::Registered& registered) {
    worker::ActorClassEntry& entry = worker::EntryOf(registered, key);
    if (entry.name.empty()) {
      entry.library = library;
      entry.name = name;
    }
    for (MethodEntry& method : methods) worker::AddMethod(entry, std::move(method));
    for (ConstructorEntry& made : constructors) worker::AddConstructor(entry, std::move(made));
    auto [known, is_new] = registered.libraries[library].try_emplace(name, &entry);
    if (known->second != &entry) known->second->clash = entry.clash = true;
    return is_new;
  });
}

bool RegisterConstructor(ClassKeyFunction key, ConstructorEntry constructor) {
  worker::TheRegistry().With([&](worker::Registered& registered) {
    worker::AddConstructor(worker::EntryOf(registered, key), std::move(constructor));
  });
  return true;
}

ActorConstructor ConstructorOf(ClassKeyFunction key, const std::string& signature) {
  const worker::ActorClassEntry& entry = worker::Usable(key);
  ActorConstructor constructor{
      entry.library, entry.name + "(" + signature + ")", entry.name, "cpp", {}};
  for (const MethodEntry& method : entry.methods) constructor.methods.push_back(method.name);
  return constructor;
}

const std::string& ClassNameOf(ClassKeyFunction key) {
  return worker::Usable(key).name;
}

const std::string& MethodNameOf(ClassKeyFunction key, MethodInvoker invoker,
                                const MethodPointer& pointer) {
  const worker::ActorClassEntry& entry = worker::Usable(key);
  for (const MethodEntry& method : entry.methods) {
    if (method.pointer == pointer && method.invoker == invoker) return method.name;
  }
  throw std::invalid_argument("kiln: KILN_ACTOR of " + entry.name +
                              " does not list this method; write KILN_ACTOR(" + entry.name + ", &" +
                              entry.name + "::Method, ...);");
}

}  // namespace kiln::detail
