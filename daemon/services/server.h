// The gRPC server: the unix socket, TCP when asked for, and all services on both.
//
// Thread: Start and Shutdown from the loop's thread.
// Owner:  main.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/status.h"
#include "daemon/services/context.h"

namespace kiln::services {

class Server {
 public:
  // Listens on `unix_socket` (0600; the peer's uid is checked when it connects), and on `listen`
  // ("127.0.0.1:0", port 0: any; empty: no TCP). Health and reflection services are there too.
  // Errors: Unavailable (cannot bind), InvalidArgument (an address that is not loopback).
  static Result<std::unique_ptr<Server>> Start(const Context* context,
                                               const std::string& unix_socket,
                                               const std::string& listen);
  virtual ~Server() = default;

  // "127.0.0.1:4711"; empty without TCP.
  virtual std::string tcp_address() const = 0;
  // Refuses new calls, cancels open ones and calls `done` on the loop when all have ended. The loop
  // must run meanwhile.
  virtual void Shutdown(std::function<void()> done) = 0;
};

}  // namespace kiln::services
