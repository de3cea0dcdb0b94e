#include "common/log.h"

#include <fcntl.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/guarded.h"
#include "common/limits.h"

namespace kiln::log {
namespace {

using Logger = std::shared_ptr<spdlog::logger>;

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
    case Level::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

Logger MakeLogger(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("kiln", std::move(sink));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%f %l %v");
  logger->set_level(spdlog::level::trace);  // `Enabled` has decided already
  // A line is with the kernel when Write returns, so that a crash loses none: about 1 us a line.
  logger->flush_on(spdlog::level::info);
  return logger;
}

std::atomic<Level> chosen_level{Level::kInfo};

// Never destroyed: threads may still log while the process ends.
Guarded<Logger>& Held() {
  static auto& held =
      *new Guarded<Logger>(MakeLogger(std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  return held;
}

}  // namespace

Result<Level> ParseLevel(std::string_view name) {
  if (name == "debug") return Level::kDebug;
  if (name == "info") return Level::kInfo;
  if (name == "warning") return Level::kWarning;
  if (name == "error") return Level::kError;
  if (name == "off") return Level::kOff;
  return Status(Code::kInvalidArgument, "unknown log level \"" + std::string(name) +
                                            "\"; choose debug, info, warning, error or off");
}

Status Open(const std::string& path, Level level) {
  // spdlog says only that it failed; opening the file first tells why.
  const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    const Code code =
        errno == EACCES || errno == EPERM ? Code::kPermissionDenied : Code::kUnavailable;
    return Status(code, "cannot write the log file " + path + ": " + std::strerror(errno));
  }
  close(fd);
  try {
    // spdlog counts the rotated files only, without the one being written.
    Logger logger = MakeLogger(std::make_shared<spdlog::sinks::rotating_file_sink_mt>(
        path, limits::kLogFileBytes, limits::kLogFiles - 1));
    Held().With([&](Logger& held) { held.swap(logger); });
  } catch (const spdlog::spdlog_ex& error) {
    return Status(Code::kUnavailable, "cannot write the log file " + path + ": " + error.what());
  }
  chosen_level.store(level, std::memory_order_relaxed);
  return Status();
}

bool Enabled(Level level) {
  return level != Level::kOff && level >= chosen_level.load(std::memory_order_relaxed);
}

void Write(Level level, std::string_view line) {
  const Logger logger = Held().With([](Logger& held) { return held; });
  if (line.find('\n') == line.npos) {
    logger->log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
    return;
  }
  // What a task or a program said may hold anything; it shall not look like lines of ours.
  std::string escaped;
  for (char c : line) {
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  logger->log(ToSpdlog(level), escaped);
}

void Flush() {
  const Logger logger = Held().With([](Logger& held) { return held; });
  logger->flush();
}

}  // namespace kiln::log
