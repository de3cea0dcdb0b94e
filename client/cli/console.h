// Standard output and error as every command uses them: results on the one, all words about them on
// the other, so that output can be piped; JSON for machines; colour only for people.
//
// Thread: one.
// Owner:  main.
#pragma once

#include <string>
#include <string_view>

#include "common/status.h"

namespace kiln::cli {

enum class Colour { kBold, kDim, kRed, kGreen, kYellow };

class Console {
 public:
  // `json`: errors are one JSON document, and colour is off.
  explicit Console(bool json);

  bool json() const { return json_; }
  // Standard output is a terminal.
  bool terminal() const { return terminal_; }

  // Writes to standard output, at once and as a whole. Returns: false when it cannot be written;
  // then nothing more is, and Finish says so. A closed pipe is no reason for words.
  bool Write(std::string_view text);
  bool broken() const { return write_errno_ != 0; }

  // One line for people on standard error; "kiln: " stands before it.
  void Note(std::string_view line);
  // Text for people on standard error, as it is.
  void Aside(std::string_view text);

  // `text` in a colour, if standard output is a terminal and NO_COLOR is not set.
  std::string Paint(Colour colour, std::string_view text) const;

  // Prints what failed. Returns: the exit code for it.
  int Fail(const Status& status);
  int Fail(const Status& status, int exit_code);
  // The same for a mistake in the command line. Returns: kExitUsage.
  int FailUsage(const std::string& message);
  // Prints an error whose JSON form is `document`. Returns: kExitFailed.
  int FailWith(const std::string& text, const std::string& document);

  // Returns: `exit_code`, unless standard output broke: kExitPipe or, with a message, kExitFailed.
  int Finish(int exit_code);

 private:
  void PrintError(const std::string& message, std::string_view code, int exit_code);

  bool json_;
  bool terminal_;
  bool colour_;
  bool error_colour_;
  int write_errno_ = 0;
};

// The name gRPC gives a code: "NOT_FOUND".
std::string_view CodeName(Code code);

// Writes all of `text` to a descriptor. Returns: 0 or errno.
int WriteFully(int fd, std::string_view text);

}  // namespace kiln::cli
