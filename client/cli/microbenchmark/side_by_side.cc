#include "client/cli/microbenchmark/side_by_side.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kiln::cli::microbenchmark {
namespace {

constexpr int kNameWidth = 38, kValueWidth = 11, kUnitWidth = 8, kTimesWidth = 18;

std::string Right(const std::string& text, int width) {
  return std::string(std::max(0, width - static_cast<int>(text.size())), ' ') + text;
}
std::string Left(const std::string& text, int width) {
  return text + std::string(std::max(0, width - static_cast<int>(text.size())), ' ');
}

// Three digits that count, thousands grouped: 0.16, 12.4, 143,211.
std::string Number(double value) {
  char text[64];
  double size = std::fabs(value);
  int decimals = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  std::string digits = text;
  size_t end = std::min(digits.find('.'), digits.size());
  size_t begin = digits[0] == '-' ? 1 : 0;
  for (size_t at = end; at > begin + 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string Times(const Figure* figure) {
  if (!figure || !figure->p50_us || !figure->p99_us) return "";
  return Number(*figure->p50_us) + " / " + Number(*figure->p99_us);
}

const Figure* Find(const std::vector<Figure>& figures, const std::string& name,
                   const std::string& transport) {
  auto found = std::find_if(figures.begin(), figures.end(), [&](const Figure& figure) {
    return figure.name == name && figure.transport == transport;
  });
  return found == figures.end() ? nullptr : &*found;
}

std::string Trimmed(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace

std::string SideBySide::Titles() const {
  std::string line = Left("", kNameWidth);
  std::string times;
  for (const std::string& transport : transports_) {
    line += Right(transport, kValueWidth);
    times += Right(transport + " p50/p99 us", kTimesWidth);
  }
  if (transports_.empty()) {
    line += Right("", kValueWidth);
    times = Right("p50/p99 us", kTimesWidth);
  }
  return Trimmed(line + "  " + Left("", kUnitWidth) + times);
}

std::string SideBySide::Rows(const std::vector<Figure>& figures) const {
  std::vector<std::string> columns = transports_;
  if (columns.empty()) columns.push_back("");
  std::string text;
  std::vector<std::string> seen;
  for (const Figure& figure : figures) {
    if (figure.task_us || std::find(seen.begin(), seen.end(), figure.name) != seen.end()) continue;
    seen.push_back(figure.name);
    std::string line = Left(figure.name, kNameWidth);
    std::string times;
    for (const std::string& transport : columns) {
      const Figure* found = Find(figures, figure.name, transport);
      line += Right(found ? Number(found->value) : "-", kValueWidth);
      times += Right(Times(found), kTimesWidth);
    }
    text += Trimmed(line + "  " + Left(figure.unit, kUnitWidth) + times);
  }
  return text;
}

}  // namespace kiln::cli::microbenchmark
