// What the head's records cost, counted from the records themselves.
#include <algorithm>
#include <string>

#include "daemon/core/core_state.h"

namespace kiln::core {
namespace {

// What an allocation takes from the heap: glibc's header of 8 bytes, in steps of 16, 32 at least.
uint64_t Allocated(uint64_t bytes) {
  return bytes == 0 ? 0 : std::max<uint64_t>(32, (bytes + 8 + 15) / 16 * 16);
}

uint64_t HeapOf(const std::string& text) {
  static const size_t kInside = std::string().capacity();
  return text.capacity() > kInside ? Allocated(text.capacity() + 1) : 0;
}

template <typename T>
uint64_t HeapOf(const std::vector<T>& list) {
  return Allocated(list.capacity() * sizeof(T));
}

uint64_t HeapOf(const Arguments& arguments) {
  return Allocated(sizeof arguments) + HeapOf(arguments.ids) +
         (arguments.dependencies ? Allocated(arguments.refs * sizeof(Dependency)) : 0);
}

}  // namespace

MemoryUse Core::GetMemory() const {
  const State& state = *state_;
  MemoryUse use{};
  use.tasks = state.tasks.size();
  use.task_bytes = state.tasks.HeapBytes();
  state.tasks.ForEach([&](const Task& task) {
    use.argument_bytes += HeapOf(task.args);
    if (task.arguments) use.task_bytes += HeapOf(*task.arguments);
  });
  use.task_bytes +=
      state.streams.size() * Allocated(sizeof(void*) + sizeof(TaskId) + sizeof(Stream));
  use.objects = state.objects.size();
  use.object_bytes = state.objects.HeapBytes();
  state.objects.ForEach([&](const Object& object) {
    if (object.content) {
      use.object_bytes += Allocated(sizeof(Content)) + HeapOf(object.content->contained);
      const auto* value = std::get_if<std::string>(&object.content->value);
      if (value) use.value_bytes += HeapOf(*value);
    }
    if (object.interest) {
      use.object_bytes += Allocated(sizeof(Interest)) + HeapOf(object.interest->more_waiters);
    }
  });
  for (const auto& [number, session] : state.sessions.all()) {
    use.references += session.references.size();
    use.reference_bytes += session.references.HeapBytes();
  }
  return use;
}

}  // namespace kiln::core
