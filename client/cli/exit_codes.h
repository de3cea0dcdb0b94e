// What the exit code of `kiln` means. Documented in `kiln --help` and docs/guide-cli.md.
#pragma once

namespace kiln::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;       // refused, failed, not found; a task's own error
inline constexpr int kExitUsage = 2;        // the command line is wrong; nothing was done
inline constexpr int kExitNoHead = 3;       // no head runs there, or it went away
inline constexpr int kExitTimeout = 124;    // --timeout was over; as coreutils' timeout
inline constexpr int kExitInterrupt = 130;  // Ctrl-C: 128 + SIGINT
inline constexpr int kExitPipe = 141;       // the reader of standard output left: 128 + SIGPIPE

}  // namespace kiln::cli
