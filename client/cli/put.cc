// `kiln put [FILE|-]`: a file's content becomes an object.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/head_client.h"
#include "client/cli/message_json.h"
#include "common/limits.h"

namespace kiln::cli {
namespace {

Status CannotRead(const std::string& name, int error) {
  return {error == ENOENT ? Code::kNotFound : Code::kPermissionDenied,
          "cannot read " + name + ": " + std::strerror(error)};
}

// A file read in parts, from wherever bytes come.
class Input {
 public:
  // `name`: "-" is standard input.
  explicit Input(const std::string& name)
      : name_(name == "-" ? "standard input" : name),
        fd_(name == "-" ? STDIN_FILENO : open(name.c_str(), O_RDONLY | O_CLOEXEC)),
        error_(fd_ < 0 ? errno : 0) {}
  ~Input() {
    if (fd_ > STDIN_FILENO) close(fd_);
  }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  // Errors: NotFound, PermissionDenied.
  Status status() const { return error_ == 0 ? Status() : CannotRead(name_, error_); }

  // Bytes in all, when that is known before they are read; else 0.
  uint64_t size_bytes() const {
    struct stat info;
    if (fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) return 0;
    off_t at = lseek(fd_, 0, SEEK_CUR);
    return at >= 0 && info.st_size > at ? static_cast<uint64_t>(info.st_size - at) : 0;
  }

  // A full chunk unless it is the last; nothing at the end. Errors: Cancelled (Ctrl-C), those
  // above.
  Result<std::optional<std::string>> Next(Interrupt& interrupt) {
    std::string chunk(limits::kChunkBytes, '\0');
    size_t filled = 0;
    while (filled < chunk.size()) {
      if (interrupt.WaitReadable(fd_) == Interrupt::Wake::kInterrupted) {
        return Status(Code::kCancelled, "interrupted; nothing was put");
      }
      ssize_t n = read(fd_, chunk.data() + filled, chunk.size() - filled);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return CannotRead(name_, errno);
      if (n == 0) break;
      filled += static_cast<size_t>(n);
    }
    total_bytes_ += filled;
    if (filled == 0) return std::optional<std::string>();
    chunk.resize(filled);
    return std::optional<std::string>(std::move(chunk));
  }
  uint64_t total_bytes() const { return total_bytes_; }

 private:
  std::string name_;
  int fd_;
  int error_;
  uint64_t total_bytes_ = 0;
};

}  // namespace

int RunPut(Console& console, const PutOptions& options) {
  Input input(options.file);
  if (!input.status().ok()) return console.Fail(input.status());
  Interrupt interrupt;
  auto head = HeadClient::Connect(options.connection, &interrupt);
  if (!head.ok()) return console.Fail(head.status());

  v1::PutRequest first;
  first.set_encoding(options.json_text ? v1::ENCODING_JSON : v1::ENCODING_BYTES);
  first.set_ttl_ms(options.ttl.count());
  first.set_size_bytes(input.size_bytes());
  auto put = (*head)->Put(first, [&] { return input.Next(interrupt); });
  if (!put.ok()) return console.Fail(put.status());
  if (console.json()) {
    console.Write(DumpJson({{"ref", put->ref()}, {"size_bytes", input.total_bytes()}}));
  } else {
    console.Write(put->ref() + "\n");
  }
  return console.Finish(kExitOk);
}

}  // namespace kiln::cli
