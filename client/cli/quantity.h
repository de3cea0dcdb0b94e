// Sizes, times and numbers as people write and read them.
//
// Thread: any; plain functions.
#pragma once

#include <cstdint>
#include <string>

#include "common/clock.h"
#include "common/status.h"

namespace kiln::cli {

// "2GiB", "500MB", "1.5G", "4096". K, M, G, T and KiB ... are powers of 1,024; KB ... of 1,000.
// Returns: bytes, more than 0. Errors: InvalidArgument, with examples.
Result<uint64_t> ParseSize(const std::string& text);
// "1.5 GiB"
std::string FormatSize(uint64_t bytes);

// "30", "0.5", "500ms", "30s", "5m", "2h"; a bare number is seconds.
// Returns: 0 or more, rounded up to a millisecond. Errors: InvalidArgument, with examples.
Result<milliseconds> ParseSpan(const std::string& text);
// "12 ms", "3.4 s", "5 min 12 s", "2 h 5 min", "3 d 4 h"
std::string FormatSpan(milliseconds span);

// "2026-11-20 17:03:04", local time; "-" for 0.
std::string FormatWallTime(int64_t since_epoch_ms);

// As short as it is exact to 4 decimals: "2", "0.5".
std::string FormatNumber(double number);

}  // namespace kiln::cli
