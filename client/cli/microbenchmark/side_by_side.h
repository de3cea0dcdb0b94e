// Figures of both transports in one table.
//
// Thread: any; plain data.
#pragma once

#include <string>
#include <vector>

#include "client/cli/microbenchmark/figure.h"

namespace kiln::cli::microbenchmark {

// One line per name, in order of appearance. The columns have fixed widths, so that several tables
// below each other are one. Points of curves are left out.
class SideBySide {
 public:
  // `transports`: a column each, "shm", "grpc"; none: one column of figures without a transport.
  explicit SideBySide(std::vector<std::string> transports) : transports_(std::move(transports)) {}

  std::string Titles() const;
  std::string Rows(const std::vector<Figure>& figures) const;

 private:
  std::vector<std::string> transports_;
};

}  // namespace kiln::cli::microbenchmark
