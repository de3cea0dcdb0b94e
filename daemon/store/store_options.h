// What the object store is to be.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace kiln::store {

// Which pages the segment gets its memory in; auto: huge ones if the machine has them.
enum class PageChoice { kAuto, k4k, kHuge };

struct StoreOptions {
  uint64_t capacity_bytes = 0;
  std::string socket_path;
  PageChoice pages = PageChoice::kAuto;
  // How much of the segment gets its memory ahead; nothing: Prefaulter::DefaultTarget.
  std::optional<uint64_t> prefault_bytes = {};
  // What the prefaulter goes by: no task runs; memory of the machine that is left.
  std::function<bool()> is_idle = [] { return true; };
  std::function<uint64_t()> available_bytes = [] { return UINT64_MAX; };
};

}  // namespace kiln::store
