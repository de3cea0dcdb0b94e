#include "client/cli/console.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "client/cli/exit_codes.h"

namespace kiln::cli {
namespace {

bool ColourWanted(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(fd) && !(no_color && *no_color) && !(term && std::strcmp(term, "dumb") == 0);
}

const char* Escape(Colour colour) {
  switch (colour) {
    case Colour::kBold:
      return "\x1b[1m";
    case Colour::kDim:
      return "\x1b[2m";
    case Colour::kRed:
      return "\x1b[31m";
    case Colour::kGreen:
      return "\x1b[32m";
    case Colour::kYellow:
      return "\x1b[33m";
  }
  return "";
}

int ExitCodeOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return kExitUsage;
    case Code::kUnavailable:
      return kExitNoHead;
    case Code::kDeadlineExceeded:
      return kExitTimeout;
    case Code::kCancelled:
      return kExitInterrupt;
    default:
      return kExitFailed;
  }
}

std::string Dump(const nlohmann::ordered_json& document) {
  return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string_view CodeName(Code code) {
  static constexpr std::array<std::string_view, 17> kNames = {"OK",
                                                              "CANCELLED",
                                                              "UNKNOWN",
                                                              "INVALID_ARGUMENT",
                                                              "DEADLINE_EXCEEDED",
                                                              "NOT_FOUND",
                                                              "ALREADY_EXISTS",
                                                              "PERMISSION_DENIED",
                                                              "RESOURCE_EXHAUSTED",
                                                              "FAILED_PRECONDITION",
                                                              "ABORTED",
                                                              "OUT_OF_RANGE",
                                                              "UNIMPLEMENTED",
                                                              "INTERNAL",
                                                              "UNAVAILABLE",
                                                              "DATA_LOSS",
                                                              "UNAUTHENTICATED"};
  auto number = static_cast<size_t>(code);
  return number < kNames.size() ? kNames[number] : "UNKNOWN";
}

int WriteFully(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

Console::Console(bool json)
    : json_(json),
      terminal_(isatty(STDOUT_FILENO)),
      colour_(!json && ColourWanted(STDOUT_FILENO)),
      error_colour_(!json && ColourWanted(STDERR_FILENO)) {}

bool Console::Write(std::string_view text) {
  if (write_errno_ == 0) write_errno_ = WriteFully(STDOUT_FILENO, text);
  return write_errno_ == 0;
}

// Nobody can be told when standard error itself is gone.
void Console::Aside(std::string_view text) {
  (void)WriteFully(STDERR_FILENO, text);
}

void Console::Note(std::string_view line) {
  Aside("kiln: " + std::string(line) + "\n");
}

std::string Console::Paint(Colour colour, std::string_view text) const {
  if (!colour_) return std::string(text);
  return Escape(colour) + std::string(text) + "\x1b[0m";
}

void Console::PrintError(const std::string& message, std::string_view code, int exit_code) {
  if (json_) {
    Aside(Dump({{"error", {{"code", code}, {"message", message}, {"exit_code", exit_code}}}}));
  } else if (error_colour_) {
    Aside("\x1b[31mkiln:\x1b[0m " + message + "\n");
  } else {
    Aside("kiln: " + message + "\n");
  }
}

int Console::Fail(const Status& status) {
  return Fail(status, ExitCodeOf(status.code()));
}

int Console::Fail(const Status& status, int exit_code) {
  // The terminal has just shown "^C".
  if (status.code() == Code::kCancelled && !json_ && isatty(STDERR_FILENO)) Aside("\n");
  PrintError(status.message(), CodeName(status.code()), exit_code);
  return exit_code;
}

int Console::FailUsage(const std::string& message) {
  PrintError(message, CodeName(Code::kInvalidArgument), kExitUsage);
  return kExitUsage;
}

int Console::FailWith(const std::string& text, const std::string& document) {
  Aside(json_ ? document : text);
  return kExitFailed;
}

int Console::Finish(int exit_code) {
  if (write_errno_ == 0) return exit_code;
  if (write_errno_ == EPIPE) return kExitPipe;
  return Fail({Code::kDataLoss,
               "cannot write to standard output: " + std::string(std::strerror(write_errno_)) +
                   "; what was printed is not complete"});
}

}  // namespace kiln::cli
