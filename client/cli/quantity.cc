#include "client/cli/quantity.h"

#include <cctype>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <map>
#include <optional>

namespace kiln::cli {
namespace {

struct Split {
  double number;
  std::string unit;
};

// "1.5 G" -> {1.5, "G"}. Returns: nothing unless it begins with a plain, finite number.
std::optional<Split> SplitUnit(const std::string& text) {
  size_t end = 0;
  while (end < text.size() &&
         (std::isdigit(static_cast<unsigned char>(text[end])) || text[end] == '.')) {
    ++end;
  }
  double number = 0;
  int read = 0;
  std::string digits = text.substr(0, end);
  if (std::sscanf(digits.c_str(), "%lf%n", &number, &read) != 1) return std::nullopt;
  if (static_cast<size_t>(read) != end || !std::isfinite(number)) return std::nullopt;
  size_t unit = text.find_first_not_of(' ', end);
  return Split{number, unit == std::string::npos ? "" : text.substr(unit)};
}

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

template <typename... Args>
std::string Print(const char* format, Args... args) {
  char text[64];
  std::snprintf(text, sizeof text, format, args...);
  return text;
}

}  // namespace

Result<uint64_t> ParseSize(const std::string& text) {
  static const std::map<std::string, double> kUnits = {
      {"", 1},       {"b", 1},        {"k", 0x1p10},   {"kib", 0x1p10}, {"kb", 1e3},
      {"m", 0x1p20}, {"mib", 0x1p20}, {"mb", 1e6},     {"g", 0x1p30},   {"gib", 0x1p30},
      {"gb", 1e9},   {"t", 0x1p40},   {"tib", 0x1p40}, {"tb", 1e12}};
  auto split = SplitUnit(text);
  auto unit = split ? kUnits.find(Lower(split->unit)) : kUnits.end();
  double bytes = unit == kUnits.end() ? 0 : split->number * unit->second;
  if (!(bytes >= 1) || bytes > 0x1p60) {
    return Status(Code::kInvalidArgument,
                  "'" + text + "' is not a size; write bytes or a unit: 2GiB, 500MB, 1.5G");
  }
  return static_cast<uint64_t>(bytes);
}

std::string FormatSize(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double size = static_cast<double>(bytes);
  size_t unit = 0;
  while (size >= 1023.95 && unit + 1 < std::size(kUnits)) {
    size /= 1024;
    ++unit;
  }
  return Print("%.1f %s", size, kUnits[unit]);
}

Result<milliseconds> ParseSpan(const std::string& text) {
  static const std::map<std::string, double> kUnits = {
      {"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"min", 60e3}, {"h", 3600e3}, {"d", 86400e3}};
  auto split = SplitUnit(text);
  auto unit = split ? kUnits.find(Lower(split->unit)) : kUnits.end();
  double span = unit == kUnits.end() ? -1 : std::ceil(split->number * unit->second);
  if (!(span >= 0) || span > 1e14) {
    return Status(Code::kInvalidArgument,
                  "'" + text + "' is not a time; write seconds or a unit: 30, 0.5, 500ms, 5m, 2h");
  }
  return milliseconds(static_cast<int64_t>(span));
}

std::string FormatSpan(milliseconds span) {
  int64_t ms = span.count();
  if (ms < 1000) return Print("%lld ms", static_cast<long long>(ms));
  if (ms < 60'000) return Print("%.1f s", static_cast<double>(ms) / 1000);
  long long s = ms / 1000;
  if (s < 3600) return Print("%lld min %lld s", s / 60, s % 60);
  if (s < 86400) return Print("%lld h %lld min", s / 3600, s / 60 % 60);
  return Print("%lld d %lld h", s / 86400, s / 3600 % 24);
}

std::string FormatWallTime(int64_t since_epoch_ms) {
  if (since_epoch_ms == 0) return "-";
  time_t seconds_since_epoch = since_epoch_ms / 1000;
  tm local;
  char text[32];
  localtime_r(&seconds_since_epoch, &local);
  std::strftime(text, sizeof text, "%F %T", &local);
  return text;
}

std::string FormatNumber(double number) {
  std::string text = Print("%.4f", number);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

}  // namespace kiln::cli
