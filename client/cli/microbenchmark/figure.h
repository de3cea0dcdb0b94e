// A measured figure, as it travels from the process that took it to the one that prints it.
//
// Thread: any; plain data.
#pragma once

#include <optional>
#include <string>

#include "common/status.h"

namespace kiln::cli::microbenchmark {

struct Figure {
  std::string name;
  std::string transport;  // in use: "grpc", "shm"; empty: none has a part in it
  double value = 0;
  std::string unit;
  std::optional<double> p50_us, p99_us;  // of single operations
  size_t n = 1;                          // measurements, or operations in one
  std::optional<double> task_us;         // points of an efficiency curve: length of the tasks
};

// One line of JSON without its end, the fields in the order above; task_us only where it is set.
std::string ToJson(const Figure& figure);
// Errors: DataLoss (not what ToJson writes).
Result<Figure> ParseFigure(const std::string& json);

}  // namespace kiln::cli::microbenchmark
