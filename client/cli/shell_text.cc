#include "client/cli/shell_text.h"

namespace kiln::cli {

std::string ShellQuote(const std::string& word) {
  static constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string ShellJoin(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + ShellQuote(word);
  return text;
}

std::string KilnCommand(const std::string& words, const Connection& connection) {
  std::string text = "kiln " + words;
  if (!connection.address.empty()) {
    text += " --address " + ShellQuote(connection.address);
  } else if (!connection.session_dir.empty()) {
    text += " --session-dir " + ShellQuote(connection.session_dir);
  }
  return text;
}

}  // namespace kiln::cli
