#include "common/head_answer.h"

#include <nlohmann/json.hpp>

namespace kiln {

std::string FormatAnswer(const HeadInfo& info) { return "{\"ready\": " + ToJson(info) + "}\n"; }

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
    int code = error.value("code", static_cast<int>(Code::kUnknown));
    return Status(code == 0 ? Code::kUnknown : static_cast<Code>(code),
                  error.value("message", "the head could not start"));
  }
  return Status(Code::kInternal, "the head ended without an answer");
}

}  // namespace kiln
