// A job as people read it.
//
// Thread: any; plain functions.
#pragma once

#include <string>

#include "kiln/v1/job.pb.h"

namespace kiln::cli {

// "RUNNING"
std::string JobStateText(v1::JobState state);
// Time between its start and its end, or now; "-" before it started.
std::string JobTimeText(const v1::Job& job);

// "job-1 succeeded after 1.2 s", "job-1 failed with exit code 3 after 20 ms"
std::string DescribeEnd(const v1::Job& job);
// All of it, a line each.
std::string DescribeJob(const v1::Job& job);

}  // namespace kiln::cli
