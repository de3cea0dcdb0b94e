// The functions this process can run as tasks, by library and name.
//
// Filled by KILN_TASK's static initialisers: those of the program when it starts, those of a task
// library while it is loaded (library.h).
//
// Thread: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "kiln/detail/runtime.h"

namespace kiln::worker {

struct TaskFunction {
  std::string name;
  std::string signature;  // parameter types: "int, std::string"
  void* function = nullptr;
  detail::Invoker invoker = nullptr;
};

// `library`: absolute path, empty for the program itself.
// Errors: NotFound (the message names the nearest name, or all there are); FailedPrecondition (two
//         functions were registered under this name).
Result<TaskFunction> FindTask(std::string_view library, std::string_view name);

// Returns: the functions of a library by name, ascending; empty if it is not loaded.
std::vector<TaskFunction> ListTasks(std::string_view library);

// Where functions and classes registered on this thread belong; empty: the program itself.
std::string& LibraryBeingLoaded();

// While it lives, that is `library`.
class RegistrationScope {
 public:
  explicit RegistrationScope(std::string library);
  ~RegistrationScope();
  RegistrationScope(const RegistrationScope&) = delete;
  RegistrationScope& operator=(const RegistrationScope&) = delete;

 private:
  std::string outer_;
};

}  // namespace kiln::worker
