#include "common/value/error_value.h"

#include <array>
#include <msgpack.hpp>

#include "common/utf8.h"
#include "common/value/value.h"

namespace kiln {
namespace {

constexpr std::array<std::string_view, 12> kKindNames = {
    "TASK_FAILED",        "WORKER_CRASHED",     "CANCELLED",         "TIMED_OUT",
    "UNSCHEDULABLE",      "FUNCTION_NOT_FOUND", "INVALID_ARGUMENTS", "OBJECT_STORE_FULL",
    "RESOURCE_EXHAUSTED", "OBJECT_LOST",        "ACTOR_DIED",        "ACTOR_UNAVAILABLE"};

// Nothing an error says needs more; deeper input is hostile.
constexpr size_t kMaxDepth = 4;

ErrorInfo Unreadable(const std::string& why) {
  ErrorInfo error;
  error.message = "the task failed, and its error cannot be read: " + why;
  return error;
}

// The exception's words are the user's, in any encoding.
std::string AsText(const msgpack::object& object) {
  if (object.type != msgpack::type::STR) return {};
  return CleanText({object.via.str.ptr, object.via.str.size}, std::string::npos);
}

void ReadField(std::string_view key, const msgpack::object& object, ErrorInfo* error) {
  if (key == "kind") {
    for (size_t i = 0; i < kKindNames.size(); ++i) {
      if (kKindNames[i] == AsText(object)) error->kind = static_cast<ErrorKind>(i);
    }
  } else if (key == "type") {
    error->type = AsText(object);
  } else if (key == "message") {
    error->message = AsText(object);
  } else if (key == "task") {
    error->task = AsText(object);
  } else if (key == "pid" && object.type == msgpack::type::POSITIVE_INTEGER) {
    error->worker_pid = static_cast<int64_t>(object.via.u64);
  } else if (key == "traceback") {
    error->traceback = AsText(object);
  } else if (key == "exception" && object.type == msgpack::type::BIN) {
    error->exception.assign(object.via.bin.ptr, object.via.bin.size);
  } else if (key == "chain" && object.type == msgpack::type::ARRAY) {
    for (uint32_t i = 0; i < object.via.array.size; ++i) {
      error->chain.emplace_back(AsText(object.via.array.ptr[i]));
    }
  }
}

void AppendText(const char* label, std::string_view text, std::string* out) {
  if (text.empty()) return;
  out->append("\n  ").append(label).append(text);
}

}  // namespace

std::string_view ErrorKindName(ErrorKind kind) {
  size_t index = static_cast<size_t>(kind);
  return index < kKindNames.size() ? kKindNames[index] : kKindNames[0];
}

std::string EncodeError(const ErrorInfo& error) {
  msgpack::sbuffer buffer;
  msgpack::packer packer(buffer);
  packer.pack_map(6 + (error.traceback.empty() ? 0 : 1) + (error.exception.empty() ? 0 : 1));
  packer.pack("kind").pack(ErrorKindName(error.kind));
  packer.pack("type").pack(error.type);
  packer.pack("message").pack(error.message);
  packer.pack("task").pack(error.task);
  packer.pack("pid").pack(error.worker_pid);
  packer.pack("chain").pack(error.chain);
  if (!error.traceback.empty()) packer.pack("traceback").pack(error.traceback);
  if (!error.exception.empty()) {
    packer.pack("exception").pack_bin(static_cast<uint32_t>(error.exception.size()));
    packer.pack_bin_body(error.exception.data(), static_cast<uint32_t>(error.exception.size()));
  }
  value::Parts parts;
  parts.kind = value::Kind::kError;
  parts.body.assign(buffer.data(), buffer.size());
  return parts.ToString();
}

ErrorInfo DecodeError(std::string_view bytes) {
  Result<value::View> view = value::ParseValue(bytes);
  if (!view.ok()) return Unreadable(view.status().message());
  if (view->kind != value::Kind::kError) return Unreadable("it is not an error");
  try {
    msgpack::unpack_limit limit(/*array=*/1 << 20, /*map=*/64, /*str=*/1 << 26, /*bin=*/1 << 26,
                                /*ext=*/0, kMaxDepth);
    msgpack::object_handle handle =
        msgpack::unpack(view->body.data(), view->body.size(), nullptr, nullptr, limit);
    const msgpack::object& object = handle.get();
    if (object.type != msgpack::type::MAP) return Unreadable("its body is not a map");
    ErrorInfo error;
    for (uint32_t i = 0; i < object.via.map.size; ++i) {
      ReadField(AsText(object.via.map.ptr[i].key), object.via.map.ptr[i].val, &error);
    }
    return error;
  } catch (const std::exception& e) {
    return Unreadable(e.what());
  }
}

std::string FormatError(const ErrorInfo& error) {
  std::string text(ErrorKindName(error.kind));
  if (!error.type.empty()) text += " (" + error.type + ")";
  text += ": " + error.message;
  AppendText("task: ", error.task, &text);
  if (error.worker_pid != 0) AppendText("worker pid: ", std::to_string(error.worker_pid), &text);
  for (const std::string& task : error.chain) {
    AppendText("which failed with it: ", task, &text);
  }
  if (!error.traceback.empty()) text += "\n" + error.traceback;
  return text;
}

}  // namespace kiln
