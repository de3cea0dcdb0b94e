// How a memory file gets its memory: in pages of 4 KiB, or of 2 MiB where the machine can.
//
// Huge pages come from MADV_COLLAPSE (Linux 6.1), which any user may ask for on any memory file: so
// the file stays a sealed memfd, whatever its pages. See D25 in docs/decisions.md.
//
// Thread: any; plain functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/status.h"

namespace kiln::shm {

inline constexpr size_t kPageBytes = 4096;  // granularity of protection, so of objects
inline constexpr size_t kHugePageBytes = size_t{2} << 20;

enum class PageKind : uint8_t { k4k = 0, kHuge = 1 };

// "4k" or "huge".
const char* Name(PageKind kind);

// Part of a memory file, as this process maps it.
struct MappedRange {
  int fd;
  uint64_t offset;  // into the file
  std::byte* at;    // where the mapping has this offset
  uint64_t size_bytes;
};

// Gives the range pages of 2 MiB. The mapping need not be writable.
// Requires: offset, size and address are multiples of kHugePageBytes.
// Errors: FailedPrecondition (the kernel cannot, or this process may not), ResourceExhausted (it
//         has none now): part of the range may have them, the rest has what it had.
Status TakeHugePages(const MappedRange& range);

// Gives the range pages of 4 KiB where it has none, and maps them, so that the first write to each
// does not fault.
// Requires: the mapping is writable.
// Errors: ResourceExhausted (the machine has no memory left).
Status TakeAndMapPages(const MappedRange& range);

}  // namespace kiln::shm
