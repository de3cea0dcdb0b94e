// The command line of kiln-head.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "daemon/store/store_options.h"

namespace kiln {

struct HeadArguments {
  std::string session_dir;   // empty: the user's default
  int num_cpus = 0;          // 0: those this process may use
  uint64_t store_bytes = 0;  // 0: 30 % of the available memory
  store::PageChoice store_pages = store::PageChoice::kAuto;
  std::optional<uint64_t> store_prefault_bytes;  // nothing: what the store finds right
  std::map<std::string, double> resources;
  std::string listen;  // empty: no TCP
  std::string log_level = "info";
  int answer_fd = -1;  // where to say ready or failed
  int owner_fd = -1;   // the head ends when this one hangs up
  bool block = false;  // stay in the foreground
};

// Reads the command line. Prints help or what is wrong and exits when that is asked for or due.
HeadArguments ParseArguments(int argc, char** argv);

}  // namespace kiln
