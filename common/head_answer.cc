#include "common/head_answer.h"

#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

namespace kiln {

std::string FormatAnswer(const HeadInfo& info) {
  return "{\"ready\": " + ToJson(info) + "}\n";
}

std::string FormatAnswer(const Status& error) {
  nlohmann::json answer;
  answer["error"]["code"] = static_cast<int>(error.code());
  answer["error"]["message"] = error.message();
  return answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<HeadInfo> ParseAnswer(const std::string& line) {
  auto answer = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (answer.is_object() && answer.contains("ready")) return ParseHeadInfo(answer["ready"].dump());
  if (answer.is_object() && answer.contains("error") && answer["error"].is_object()) {
    const nlohmann::json& error = answer["error"];
    if (error.contains("code") && error["code"].is_number_integer() && error.contains("message") &&
        error["message"].is_string()) {
      int code = error["code"].get<int>();
      bool known = code > 0 && code <= static_cast<int>(Code::kUnauthenticated);
      return Status(known ? static_cast<Code>(code) : Code::kInternal,
                    error["message"].get<std::string>());
    }
  }
  return Status(Code::kInternal, line.empty() ? "the head ended without an answer"
                                              : "the head's answer cannot be read: " + line);
}

Result<HeadInfo> ReadAnswer(int fd) {
  std::string line;
  char c;
  while (true) {
    ssize_t got = read(fd, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || c == '\n') return ParseAnswer(line);
    line += c;
  }
}

}  // namespace kiln
