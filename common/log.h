// The process's own log: one bounded, rotated file; lines of key=value pairs.
//
//   log::Info("event=worker_ready worker={} pid={}", id, pid) is written
//   2026-11-20T17:03:04.123456 info event=worker_ready worker=3 pid=4711
//
// Plain header over spdlog, so that only log.cc compiles it. Formatting is std::format-like through
// libfmt's core header.
//
// Thread: any, after Open; before it, lines go to standard error.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

#include "common/status.h"

namespace kiln::log {

enum class Level { kDebug, kInfo, kWarning, kError, kOff };

// "debug", "info", "warning", "error", "off". Errors: InvalidArgument, naming the choices.
Result<Level> ParseLevel(std::string_view name);

// Sends lines to `path` (0600), rotated at limits::kLogFileBytes, limits::kLogFiles of them:
// "head.log", then "head.1.log", "head.2.log".
// Errors: PermissionDenied or Unavailable (cannot write there).
Status Open(const std::string& path, Level level);
bool Enabled(Level level);
// Writes one line whatever the level; line breaks in it are written as "\n". Lines of kInfo and
// above are with the kernel on return: a crash loses none of them.
void Write(Level level, std::string_view line);
// Hands the lines below kInfo to the kernel too.
void Flush();

template <typename... Args>
void Debug(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kDebug))
    Write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Info(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kInfo)) Write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Warning(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kWarning))
    Write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Error(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kError))
    Write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace kiln::log
