// What the object store is to be.
#pragma once

#include <cstdint>
#include <string>

namespace kiln::store {

// Which pages the segment gets its memory in; auto: huge ones if the machine has them.
enum class PageChoice { kAuto, k4k, kHuge };

struct StoreOptions {
  uint64_t capacity_bytes = 0;
  std::string socket_path;
  PageChoice pages = PageChoice::kAuto;
};

}  // namespace kiln::store
