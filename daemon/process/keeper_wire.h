// What head and keeper say to each other: fixed records over a SEQPACKET socket pair, with at most
// one descriptor each. What does not fit (arguments, environments) travels in a memory file.
//
// Both ends are the same program, so the records need no version.
//
// Thread: plain functions.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "daemon/process/keeper.h"
#include "daemon/process/unique_fd.h"

namespace kiln::process {

enum class MessageKind : uint32_t {
  // head to keeper
  kSetup = 1,  // with a Setup in a memory file; the first message
  kLaunch,     // launch; with a LaunchSpec in a memory file
  kSignal,     // launch, signal, group
  kEnd,        // the head ends in order, and holds its lock until the keeper has ended
  // keeper to head
  kStarted,     // launch, pid; with the read end of the output
  kNotStarted,  // launch, step, error_number
  kExited,      // launch, exit_code, signal
};

// What the keeper was doing when a start failed.
enum class StartStep : uint32_t { kPrepare, kWorkingDir, kExecute, kForkServer };

struct Message {
  MessageKind kind{};
  StartStep step{};
  uint64_t launch = 0;
  int32_t pid = 0;
  int32_t signal = 0;
  int32_t group = 0;
  int32_t exit_code = 0;
  int32_t error_number = 0;
  int32_t reserved = 0;
};
static_assert(std::is_trivially_copyable_v<Message> && sizeof(Message) == 40,
              "sent as it is in memory");

// What the keeper is to do when the head is gone; see Keeper::Start and KeeperOptions.
struct Setup {
  std::string lock;
  std::vector<std::string> remove_at_end;
};

enum class Transfer { kDone, kWouldBlock, kEnded };

// Sends without blocking. `fd`: -1 for none; stays the caller's.
Transfer SendMessage(int socket_fd, const Message& message, int fd);
// Receives without blocking.
Transfer ReceiveMessage(int socket_fd, Message* message, UniqueFd* fd);

// Returns: a memory file that holds the argument; invalid, with errno, if there is no room.
UniqueFd Encode(const LaunchSpec& spec);
UniqueFd Encode(const Setup& setup);
// Returns: nothing if the file does not hold one.
std::optional<LaunchSpec> DecodeLaunchSpec(int fd);
std::optional<Setup> DecodeSetup(int fd);

}  // namespace kiln::process
