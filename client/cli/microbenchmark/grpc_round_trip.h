// gRPC's own cost.
//
// Thread: one; gRPC starts others.
#pragma once

#include <string>

#include "client/cli/microbenchmark/report.h"

namespace kiln::cli::microbenchmark {

// "grpc unary round trip": one call at a time to the head's health service.
void MeasureGrpcRoundTrip(Report* report, const std::string& head_address);

}  // namespace kiln::cli::microbenchmark
