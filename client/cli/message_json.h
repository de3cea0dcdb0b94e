// A protobuf message as JSON for machines.
//
// Field names are those of the proto files and every field is present. Unlike protobuf's own JSON,
// 64-bit integers are numbers, so that `jq '.store_used_bytes > 1000'` does what it says: ours
// (bytes, milliseconds, process ids) are far below 2^53. Enums are their names.
//
// Thread: any; plain functions.
#pragma once

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>

namespace kiln::cli {

nlohmann::ordered_json ToJson(const google::protobuf::Message& message);

// The document as text, indented, with a line end; bytes that are not UTF-8 are replaced.
std::string DumpJson(const nlohmann::ordered_json& document);

}  // namespace kiln::cli
