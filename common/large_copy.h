// Copying much memory, as fast as the machine can.
//
// Thread: any.
#pragma once

#include <cstddef>

namespace kiln {

// Copies from here on are large: the threads for them pay off, and the bytes would not stay in the
// caches anyway.
inline constexpr size_t kLargeCopyBytes = size_t{32} << 20;

// As memcpy. Large copies go past the caches, which saves reading what is overwritten (91 ms/GB
// instead of 144), and are shared among threads while cores are free (48 with two; see
// ParallelFor).
void Copy(void* to, const void* from, size_t size_bytes);

}  // namespace kiln
