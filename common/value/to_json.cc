#include <charconv>
#include <cmath>
#include <cstring>
#include <msgpack.hpp>
#include <nlohmann/json.hpp>

#include "common/value/base64.h"
#include "common/value/error_value.h"
#include "common/value/json.h"
#include "common/value/ndarray.h"
#include "common/value/value.h"

namespace kiln::value {
namespace {

// Writes JSON text, and stops by TooLong when it has grown beyond the bound.
class Writer {
 public:
  struct TooLong {};

  void Raw(std::string_view text) {
    if (text.size() > kMaxJsonBytes - text_.size()) throw TooLong();
    text_ += text;
  }
  void Text(std::string_view text) {
    // Bytes that are not UTF-8 become U+FFFD; JSON cannot hold them.
    Raw(nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  template <typename Integer>
  void Integral(Integer number) {
    Raw(std::to_string(number));
  }
  // The shortest text that reads back as the same number; "1.0", not "1", so that it stays one.
  template <typename Floating>
  void Real(Floating number) {
    if (!std::isfinite(number)) return Raw("null");
    char digits[64];
    std::string_view text(digits,
                          std::to_chars(digits, digits + sizeof digits, number).ptr - digits);
    Raw(text);
    if (text.find_first_of(".e") == text.npos) Raw(".0");
  }
  std::string Take() { return std::move(text_); }

  size_t size() const { return text_.size(); }
  bool StartsText(size_t start) const { return text_[start] == '"'; }
  // Removes and returns what was written from `start` on.
  std::string Cut(size_t start) {
    std::string tail = text_.substr(start);
    text_.resize(start);
    return tail;
  }

 private:
  std::string text_;
};

// Turns msgpack into text as it is parsed: no tree is built, so that a broken or hostile body costs
// no more memory than its text.
class Printer : public msgpack::null_visitor {
 public:
  explicit Printer(Writer* out) : out_(*out) {}

  // Why the parser stopped.
  const Status& status() const { return status_; }

  bool visit_nil() { return Put("null"); }
  bool visit_boolean(bool value) { return Put(value ? "true" : "false"); }
  bool visit_positive_integer(uint64_t value) { return Put(std::to_string(value)); }
  bool visit_negative_integer(int64_t value) { return Put(std::to_string(value)); }
  bool visit_float32(float value) {
    out_.Real(value);
    return true;
  }
  bool visit_float64(double value) {
    out_.Real(value);
    return true;
  }
  bool visit_str(const char* data, uint32_t size) {
    out_.Text({data, size});
    return true;
  }
  bool visit_bin(const char* data, uint32_t size) {
    return Put("{\"$bytes\":\"" + EncodeBase64({data, size}) + "\"}");
  }
  // The first byte is the type.
  bool visit_ext(const char* data, uint32_t size) {
    int8_t type = size == 0 ? int8_t{0} : static_cast<int8_t>(data[0]);
    std::string_view bytes(data, size);
    bytes.remove_prefix(std::min<size_t>(1, size));
    if (type == kTupleExtension) return VisitTuple(bytes);
    if (type != kRefExtension || bytes.size() != sizeof(ObjectId)) {
      return Put("{\"$ext\":" + std::to_string(type) + ",\"$bytes\":\"" + EncodeBase64(bytes) +
                 "\"}");
    }
    ObjectId id = 0;
    for (char c : bytes) id = id << 8 | static_cast<uint8_t>(c);
    return Put("{\"$ref\":\"" + FormatRef(id) + "\"}");
  }

  // The list inside; bounded by Open, as lists are.
  bool VisitTuple(std::string_view list) {
    if (first_.size() == kMaxJsonDepth) return Open("[");
    size_t offset = 0;
    bool complete = msgpack::parse(list.data(), list.size(), offset, *this);
    if (complete && offset == list.size()) return true;
    Fail(Code::kDataLoss, "a tuple in the msgpack body is broken");
    return false;
  }

  bool start_array(uint32_t) { return Open("["); }
  bool start_array_item() { return Separate(); }
  bool end_array() { return Close("]"); }
  bool start_map(uint32_t) { return Open("{"); }
  bool start_map_key() {
    Separate();
    key_starts_.push_back(out_.size());
    return true;
  }
  // JSON's keys are text: others are written as JSON and that as text.
  bool end_map_key() {
    size_t start = key_starts_.back();
    key_starts_.pop_back();
    if (!out_.StartsText(start)) out_.Text(out_.Cut(start));
    return Put(":");
  }
  bool end_map() { return Close("}"); }

  void parse_error(size_t, size_t) { Fail(Code::kDataLoss, "the msgpack body is broken"); }
  void insufficient_bytes(size_t, size_t) { Fail(Code::kDataLoss, "the msgpack body is cut off"); }

 private:
  bool Put(std::string_view text) {
    out_.Raw(text);
    return true;
  }
  bool Open(std::string_view bracket) {
    if (first_.size() == kMaxJsonDepth) {
      Fail(Code::kInvalidArgument,
           "the value is nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
      return false;
    }
    first_.push_back(true);
    return Put(bracket);
  }
  bool Close(std::string_view bracket) {
    first_.pop_back();
    return Put(bracket);
  }
  bool Separate() {
    if (!first_.back()) out_.Raw(",");
    first_.back() = false;
    return true;
  }
  void Fail(Code code, std::string why) {
    if (status_.ok()) status_ = {code, std::move(why)};
  }

  Writer& out_;
  Status status_;
  std::vector<bool> first_;         // per open list or map: nothing is in it yet
  std::vector<size_t> key_starts_;  // of the keys being written; keys may be maps themselves
};

template <typename T>
void WriteNumber(const std::byte* data, Writer* out) {
  T number;
  std::memcpy(&number, data, sizeof number);
  if constexpr (std::is_floating_point_v<T>) {
    out->Real(number);
  } else {
    out->Integral(number);
  }
}

void WriteElement(const NdarrayView& array, size_t index, Writer* out) {
  const std::byte* data = array.data + index * array.item_bytes();
  switch (array.type) {
    case ItemType::kBool:
      return out->Raw(*data != std::byte{0} ? "true" : "false");
    case ItemType::kInt8:
      return WriteNumber<int8_t>(data, out);
    case ItemType::kInt16:
      return WriteNumber<int16_t>(data, out);
    case ItemType::kInt32:
      return WriteNumber<int32_t>(data, out);
    case ItemType::kInt64:
      return WriteNumber<int64_t>(data, out);
    case ItemType::kUint8:
      return WriteNumber<uint8_t>(data, out);
    case ItemType::kUint16:
      return WriteNumber<uint16_t>(data, out);
    case ItemType::kUint32:
      return WriteNumber<uint32_t>(data, out);
    case ItemType::kUint64:
      return WriteNumber<uint64_t>(data, out);
    case ItemType::kFloat32:
      return WriteNumber<float>(data, out);
    case ItemType::kFloat64:
      return WriteNumber<double>(data, out);
  }
}

// Writes the elements below one index of each of the first `axis` axes.
void WriteAxis(const NdarrayView& array, size_t axis, size_t* next, Writer* out) {
  if (axis == array.shape.size()) return WriteElement(array, (*next)++, out);
  out->Raw("[");
  for (size_t i = 0; i < array.shape[axis]; ++i) {
    if (i > 0) out->Raw(",");
    WriteAxis(array, axis + 1, next, out);
  }
  out->Raw("]");
}

Status WriteMsgpack(std::string_view body, Writer* out) {
  Printer printer(out);
  size_t offset = 0;
  bool complete = msgpack::parse(body.data(), body.size(), offset, printer);
  if (!printer.status().ok()) return printer.status();
  if (!complete) return {Code::kDataLoss, "the msgpack body is broken"};
  if (offset != body.size()) return {Code::kDataLoss, "bytes after the end of the msgpack body"};
  return {};
}

void WriteError(std::string_view value, Writer* out) {
  ErrorInfo error = DecodeError(value);
  nlohmann::ordered_json object = {{"kind", ErrorKindName(error.kind)}, {"type", error.type},
                                   {"message", error.message},          {"task", error.task},
                                   {"pid", error.worker_pid},           {"chain", error.chain}};
  if (!error.traceback.empty()) object["traceback"] = error.traceback;
  nlohmann::ordered_json outer = {{"error", std::move(object)}};
  out->Raw(outer.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

Status WriteValue(std::string_view value, Writer* out) {
  Result<View> view = ParseValue(value);
  if (!view.ok()) return view.status();
  switch (view->kind) {
    case Kind::kNull:
      out->Raw("null");
      return {};
    case Kind::kMsgpack:
      return WriteMsgpack(view->body, out);
    case Kind::kNdarray: {
      Result<NdarrayView> array = ParseNdarray(*view);
      if (!array.ok()) return array.status();
      size_t next = 0;
      WriteAxis(*array, 0, &next, out);
      return {};
    }
    case Kind::kPickle:
      return {Code::kInvalidArgument, "the value is a Python object; get it from Python"};
    case Kind::kError:
      WriteError(value, out);
      return {};
  }
  return {Code::kDataLoss, "unknown kind of value"};
}

}  // namespace

Result<std::string> ToJson(std::string_view value) {
  Writer out;
  try {
    if (Status status = WriteValue(value, &out); !status.ok()) return status;
    return out.Take();
  } catch (const Writer::TooLong&) {
    return Status(Code::kResourceExhausted, "the value is longer than " +
                                                std::to_string(kMaxJsonBytes) +
                                                " bytes as JSON; get it as bytes, or in a program");
  }
}

}  // namespace kiln::value
