#include "client/cli/microbenchmark/figure.h"

#include <nlohmann/json.hpp>

namespace kiln::cli::microbenchmark {
namespace {

using Json = nlohmann::ordered_json;

std::optional<double> Number(const Json& line, const char* field) {
  auto found = line.find(field);
  if (found == line.end() || found->is_null()) return std::nullopt;
  return found->get<double>();
}

}  // namespace

std::string ToJson(const Figure& figure) {
  Json line;
  line["name"] = figure.name;
  line["transport"] = nullptr;
  if (!figure.transport.empty()) line["transport"] = figure.transport;
  line["value"] = figure.value;
  line["unit"] = figure.unit;
  line["p50_us"] = nullptr;
  line["p99_us"] = nullptr;
  if (figure.p50_us) line["p50_us"] = *figure.p50_us;
  if (figure.p99_us) line["p99_us"] = *figure.p99_us;
  line["n"] = figure.n;
  if (figure.task_us) line["task_us"] = *figure.task_us;
  return line.dump();
}

Result<Figure> ParseFigure(const std::string& json) {
  try {
    Json line = Json::parse(json);
    Figure figure;
    figure.name = line.at("name").get<std::string>();
    if (!line.at("transport").is_null()) figure.transport = line["transport"].get<std::string>();
    figure.value = line.at("value").get<double>();
    figure.unit = line.at("unit").get<std::string>();
    figure.p50_us = Number(line, "p50_us");
    figure.p99_us = Number(line, "p99_us");
    figure.n = line.at("n").get<size_t>();
    figure.task_us = Number(line, "task_us");
    return figure;
  } catch (const Json::exception& error) {
    return Status(Code::kDataLoss, "not a figure: " + json + ": " + error.what());
  }
}

}  // namespace kiln::cli::microbenchmark
