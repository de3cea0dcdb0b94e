// Finding a head for a driver, in whatever language it is written, and connecting to it.
//
// Thread: any; plain function.
#pragma once

#include <memory>

#include "client/cpp/src/own_head.h"
#include "common/peer/peer.h"
#include "kiln/options.h"

namespace kiln {

struct Joined {
  std::shared_ptr<peer::Peer> peer;
  std::shared_ptr<OwnHead> own_head;  // null: it ran already. Let go after the peer.
};

// Connects to the head that `options` or the environment name, or to the user's own; starts one if
// none runs and `options` allow it. `hello`: language and program; its kind is set here.
// Throws: ConnectionError.
Joined Join(const ConnectOptions& options, v1::Hello hello);

}  // namespace kiln
