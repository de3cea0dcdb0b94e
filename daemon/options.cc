#include "daemon/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace kiln {
namespace {

const std::map<std::string, store::PageChoice> kPageChoices = {{"auto", store::PageChoice::kAuto},
                                                               {"4k", store::PageChoice::k4k},
                                                               {"huge", store::PageChoice::kHuge}};

// Throws: CLI::ValidationError, which CLI11 prints.
std::map<std::string, double> ParseResources(const std::string& text) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    throw CLI::ValidationError("--resources", "\"" + text +
                                                  "\" is not a JSON object like "
                                                  "{\"disk\": 2}");
  }
  std::map<std::string, double> resources;
  for (const auto& [name, amount] : json.items()) {
    if (name.empty() || !amount.is_number() || amount.get<double>() < 0) {
      throw CLI::ValidationError("--resources",
                                 "\"" + name + "\" must have a number that is 0 or more");
    }
    resources[name] = amount.get<double>();
  }
  return resources;
}

}  // namespace

HeadArguments ParseArguments(int argc, char** argv) {
  HeadArguments arguments;
  std::string resources, store_pages = "auto";
  CLI::App app("The kiln head daemon; usually started by `kiln start --head`.", "kiln-head");
  app.add_option("--session-dir", arguments.session_dir, "where it lives (default: per user)");
  app.add_option("--num-cpus", arguments.num_cpus, "CPUs to schedule (default: all available)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--object-store-memory", arguments.store_bytes,
                 "size of the object store in bytes (default: 30 % of available memory)");
  app.add_option("--store-pages", store_pages,
                 "pages of the object store: auto (huge if the machine can), 4k or huge")
      ->check(CLI::IsMember(kPageChoices).description(""))
      ->type_name("KIND");
  app.add_option(
      "--store-prefault", arguments.store_prefault_bytes,
      "bytes of the object store that get their memory ahead, in the background; 0: none "
      "(default: a quarter, at most 1 GiB of huge pages or 256 MiB of others)");
  app.add_option("--resources", resources, "custom resources, JSON: {\"disk\": 2}");
  app.add_option("--listen", arguments.listen, "also listen on TCP, loopback only: 127.0.0.1:0");
  app.add_option("--log-level", arguments.log_level, "debug, info, warning, error or off");
  app.add_option("--answer-fd", arguments.answer_fd, "descriptor to say ready or failed on");
  app.add_option("--owner-fd", arguments.owner_fd, "end when this descriptor hangs up");
  app.add_flag("--block", arguments.block, "stay in the foreground");
  app.set_version_flag("--version", "kiln " KILN_VERSION);
  try {
    app.parse(argc, argv);
    arguments.store_pages = kPageChoices.at(store_pages);
    if (!resources.empty()) arguments.resources = ParseResources(resources);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  return arguments;
}

}  // namespace kiln
