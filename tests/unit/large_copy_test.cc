#include "common/large_copy.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <numeric>
#include <vector>

namespace kiln {

TEST_CASE("a copy of any size and alignment has all bytes, and none beside it") {
  constexpr size_t kLarge = kLargeCopyBytes, kMargin = 128;
  std::vector<unsigned char> from(kLarge + 100'000 + 2 * kMargin), to(from.size());
  for (size_t i = 0; i < from.size(); ++i)
    from[i] = static_cast<unsigned char>(i * 2654435761u >> 24);
  for (size_t size : {size_t{0}, size_t{1}, size_t{4096}, kLarge - 1, kLarge, kLarge + 1,
                      kLarge + 4096 * 4 - 1, kLarge + 100'000}) {
    for (auto [out, in] : {std::pair{0, 0}, {1, 0}, {0, 1}, {63, 64}, {17, 40}}) {
      INFO(size << " bytes from +" << in << " to +" << out);
      std::memset(to.data(), 0xA5, to.size());
      unsigned char* place = to.data() + kMargin + out - kMargin / 2;
      Copy(place, from.data() + in, size);
      REQUIRE(std::memcmp(place, from.data() + in, size) == 0);
      for (const unsigned char* p = to.data(); p < place; ++p) REQUIRE(*p == 0xA5);
      for (size_t i = 0; i < kMargin / 2; ++i) REQUIRE(place[size + i] == 0xA5);
    }
  }
}

}  // namespace kiln
