#include "worker/registry.h"

#include <map>
#include <stdexcept>
#include <unordered_map>

#include "common/guarded.h"
#include "worker/suggest.h"

namespace kiln::worker {
namespace {

struct Entry {
  TaskFunction task;
  bool clash = false;
};

using Functions = std::map<std::string, Entry, std::less<>>;  // by name

struct Registered {
  std::map<std::string, Functions, std::less<>> libraries;  // by path
  std::unordered_map<void*, detail::FunctionName> names;    // first name of each; never erased
};

// Made by the first static initialiser that needs it, and never destroyed: those of other files run
// in any order, and tasks may run until the process ends.
Guarded<Registered>& TheRegistry() {
  static auto* registry = new Guarded<Registered>();
  return *registry;
}

std::vector<std::string> NamesOf(const Functions& functions) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : functions) names.push_back(name);
  return names;
}

}  // namespace

Result<TaskFunction> FindTask(std::string_view library, std::string_view name) {
  return TheRegistry().With([&](Registered& registered) -> Result<TaskFunction> {
    static const Functions kNone;
    auto functions = registered.libraries.find(library);
    const Functions& known = functions == registered.libraries.end() ? kNone : functions->second;
    auto entry = known.find(name);
    if (entry == known.end()) {
      return Status(Code::kNotFound, "no function " + std::string(name) + " in " +
                                         DescribeLibrary(library) +
                                         Suggest(NamesOf(known), name, "function with KILN_TASK"));
    }
    if (entry->second.clash) {
      return Status(Code::kFailedPrecondition,
                    DescribeLibrary(library) + " has two functions registered as " +
                        std::string(name) + "; give one of them another name or a namespace");
    }
    return entry->second.task;
  });
}

std::vector<TaskFunction> ListTasks(std::string_view library) {
  return TheRegistry().With([&](Registered& registered) {
    std::vector<TaskFunction> tasks;
    auto functions = registered.libraries.find(library);
    if (functions == registered.libraries.end()) return tasks;
    for (const auto& [name, entry] : functions->second) tasks.push_back(entry.task);
    return tasks;
  });
}

std::string& LibraryBeingLoaded() {
  thread_local std::string library;
  return library;
}

RegistrationScope::RegistrationScope(std::string library)
    : outer_(std::exchange(LibraryBeingLoaded(), std::move(library))) {}

RegistrationScope::~RegistrationScope() {
  LibraryBeingLoaded() = std::move(outer_);
}

}  // namespace kiln::worker

namespace kiln::detail {

bool RegisterTask(const char* name, void* function, Invoker invoker, std::string signature) {
  using worker::Entry;
  const std::string& library = worker::LibraryBeingLoaded();
  return worker::TheRegistry().With([&](worker::Registered& registered) {
    registered.names.try_emplace(function, FunctionName{library, name});
    auto [entry, is_new] = registered.libraries[library].try_emplace(
        name, Entry{{name, std::move(signature), function, invoker}});
    // The same function twice is a KILN_TASK in a header: harmless.
    if (!is_new && entry->second.task.function != function) entry->second.clash = true;
    return is_new;
  });
}

const FunctionName& NameOf(void* function) {
  const FunctionName* found = worker::TheRegistry().With([&](worker::Registered& registered) {
    auto name = registered.names.find(function);
    return name == registered.names.end() ? nullptr : &name->second;
  });
  if (found != nullptr) return *found;
  throw std::invalid_argument(
      "kiln: Submit of a function without KILN_TASK; write KILN_TASK(name); after its definition");
}

}  // namespace kiln::detail
