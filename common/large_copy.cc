#include "common/large_copy.h"

#include <cstdint>
#include <cstring>

#include "common/parallel_for.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace kiln {
namespace {

constexpr size_t kLine = 64;                // bytes of a cache line
constexpr size_t kPage = 4096;              // what the hardware fetches ahead within
constexpr size_t kPagesAtOnce = 4;          // streams that it follows side by side
constexpr size_t kPiece = size_t{4} << 20;  // 0.4 ms of one thread's work

#ifdef __SSE2__

// One line past the caches. Requires: `to` is a multiple of kLine.
void StreamLine(std::byte* to, const std::byte* from) {
  auto* out = reinterpret_cast<__m128i*>(to);
  const auto* in = reinterpret_cast<const __m128i*>(from);
  __m128i a = _mm_loadu_si128(in), b = _mm_loadu_si128(in + 1);
  __m128i c = _mm_loadu_si128(in + 2), d = _mm_loadu_si128(in + 3);
  _mm_stream_si128(out, a);
  _mm_stream_si128(out + 1, b);
  _mm_stream_si128(out + 2, c);
  _mm_stream_si128(out + 3, d);
}

// Goes through four pages side by side, as the C library does for copies larger than the caches:
// 91 ms/GB, 106 one after the other.
void Stream(std::byte* to, const std::byte* from, size_t size_bytes) {
  constexpr size_t kStride = kPagesAtOnce * kPage;
  if (size_bytes < kStride) return void(std::memcpy(to, from, size_bytes));
  size_t skipped = -reinterpret_cast<uintptr_t>(to) % kLine;
  std::memcpy(to, from, skipped);
  to += skipped, from += skipped, size_bytes -= skipped;
  for (; size_bytes >= kStride; to += kStride, from += kStride, size_bytes -= kStride) {
    for (size_t line = 0; line < kPage; line += kLine) {
      for (size_t page = 0; page < kStride; page += kPage) {
        StreamLine(to + page + line, from + page + line);
      }
    }
  }
  _mm_sfence();  // the next one to look may be another process
  std::memcpy(to, from, size_bytes);
}

#else

void Stream(std::byte* to, const std::byte* from, size_t size_bytes) {
  std::memcpy(to, from, size_bytes);
}

#endif

}  // namespace

void Copy(void* to, const void* from, size_t size_bytes) {
  if (size_bytes < kLargeCopyBytes) {
    if (size_bytes > 0) std::memcpy(to, from, size_bytes);
    return;
  }
  auto* out = static_cast<std::byte*>(to);
  const auto* in = static_cast<const std::byte*>(from);
  ParallelFor(size_bytes, kPiece,
              [&](size_t begin, size_t end) { Stream(out + begin, in + begin, end - begin); });
}

}  // namespace kiln
