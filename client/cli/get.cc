// `kiln get REF`: waits for an object and prints it.
//
// By default bytes are written as they are and everything else as JSON: what `kiln put` put, `kiln
// get` gives back. A terminal is told of bytes instead of being sent them.

#include <functional>

#include "client/cli/argument_text.h"
#include "client/cli/bytes_value.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/failure.h"
#include "client/cli/head_client.h"
#include "client/cli/message_json.h"
#include "client/cli/output_file.h"
#include "client/cli/quantity.h"
#include "client/cli/shell_text.h"

namespace kiln::cli {
namespace {

using Write = std::function<bool(std::string_view)>;

// How the stream of a value ended.
struct Received {
  Status status;
  std::optional<v1::TaskFailure> failure;
  bool json = false;  // what was written is JSON

  bool ok() const { return status.ok() && !failure; }
};

class Getter {
 public:
  Getter(HeadClient* head, const GetOptions& options) : head_(head) {
    request_.set_ref(options.ref);
    request_.set_timeout_ms(options.timeout ? options.timeout->count() : -1);
  }

  Received Stream(v1::Encoding encoding, const Write& write) {
    Received received;
    received.json = encoding == v1::ENCODING_JSON;
    request_.set_encoding(encoding);
    received.status = head_->Get(request_, [&](const v1::GetResponse& part) {
      if (part.has_error()) received.failure = part.error();
      return !part.has_error() && write(part.data());
    });
    return received;
  }

  // Bytes as they are, all else as JSON. `begin_bytes` is told their number before the first is
  // written, and may refuse them.
  Received StreamBytesOrJson(const Write& write, const std::function<bool(uint64_t)>& begin_bytes) {
    std::optional<BytesPlace> place;
    bool begun = false;
    Received received = Stream(v1::ENCODING_VALUE, [&](std::string_view data) {
      if (data.empty()) return true;
      if (!begun) {
        begun = true;
        place = FindBytes(data);
        if (!place || !begin_bytes(place->size_bytes)) return false;
        data.remove_prefix(place->offset_bytes);
      }
      data = data.substr(0, place->size_bytes);  // padding may follow
      place->size_bytes -= data.size();
      return write(data);
    });
    return place || !received.ok() ? received : Stream(v1::ENCODING_JSON, write);
  }

 private:
  HeadClient* head_;
  v1::GetRequest request_;
};

int FailGet(Console& console, const GetOptions& options, const Received& received) {
  if (received.failure) return FailTask(console, *received.failure);
  std::string again = KilnCommand("get " + options.ref, options.connection);
  if (received.status.code() == Code::kDeadlineExceeded) {
    return console.Fail({Code::kDeadlineExceeded, options.ref + " was not ready within " +
                                                      FormatSpan(*options.timeout) +
                                                      "; what makes it goes on: " + again});
  }
  if (received.status.code() == Code::kCancelled) {
    return console.Fail(
        {Code::kCancelled, "interrupted; what makes " + options.ref + " goes on: " + again});
  }
  return console.Fail(received.status);
}

Received GetAs(Getter& getter, const std::string& encoding, const Write& write) {
  if (encoding == "json") return getter.Stream(v1::ENCODING_JSON, write);
  if (encoding == "bytes") return getter.Stream(v1::ENCODING_BYTES, write);
  if (encoding == "value") return getter.Stream(v1::ENCODING_VALUE, write);
  return getter.StreamBytesOrJson(write, [](uint64_t) { return true; });
}

int GetToFile(Console& console, Getter& getter, const GetOptions& options) {
  OutputFile file(options.output);
  if (!file.status().ok()) return console.Fail(file.status());
  Received received =
      GetAs(getter, options.encoding, [&](std::string_view data) { return file.Write(data); });
  if (!received.ok()) return FailGet(console, options, received);
  Status complete = file.Complete();
  if (!complete.ok()) return console.Fail(complete);
  if (console.json()) {
    console.Write(DumpJson(
        {{"ref", options.ref}, {"output", options.output}, {"size_bytes", file.size_bytes()}}));
  } else if (console.terminal()) {
    console.Note("wrote " + FormatSize(file.size_bytes()) + " to " + options.output);
  }
  return console.Finish(kExitOk);
}

// One document: {"ref": ..., "value": ...}.
int GetAsDocument(Console& console, Getter& getter, const GetOptions& options) {
  bool begun = false;
  Received received = getter.Stream(v1::ENCODING_JSON, [&](std::string_view data) {
    if (!begun) console.Write("{\"ref\": \"" + options.ref + "\", \"value\": ");
    begun = true;
    return console.Write(data);
  });
  if (!received.ok()) return FailGet(console, options, received);
  console.Write("}\n");
  return console.Finish(kExitOk);
}

int GetToStandardOutput(Console& console, Getter& getter, const GetOptions& options) {
  auto write = [&](std::string_view data) { return console.Write(data); };
  auto describe = [&](uint64_t size_bytes) {
    console.Write("bytes, " + FormatSize(size_bytes) + "; to a file with: " +
                  KilnCommand("get " + options.ref + " -o FILE", options.connection) + "\n");
    return false;
  };
  Received received = console.terminal() && options.encoding.empty()
                          ? getter.StreamBytesOrJson(write, describe)
                          : GetAs(getter, options.encoding, write);
  if (!received.ok()) return FailGet(console, options, received);
  if (received.json) console.Write("\n");
  return console.Finish(kExitOk);
}

}  // namespace

int RunGet(Console& console, const GetOptions& options) {
  Status valid = CheckRefs({options.ref});
  if (!valid.ok()) return console.Fail(valid);
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());
  Getter getter(head->get(), options);
  if (!options.output.empty()) return GetToFile(console, getter, options);
  if (console.json()) return GetAsDocument(console, getter, options);
  return GetToStandardOutput(console, getter, options);
}

}  // namespace kiln::cli
