// The API's Runtime over a session with the head: statuses become exceptions.
//
// Thread: any.
#pragma once

#include <memory>
#include <string>

#include "common/peer/peer.h"
#include "kiln/detail/runtime.h"

namespace kiln::worker {

// `keep_alive`: let go after the session has ended (a head that was started for it).
std::shared_ptr<detail::Runtime> MakeRuntime(std::shared_ptr<peer::Peer> peer,
                                             std::shared_ptr<void> keep_alive = nullptr);

// The session under a runtime made by MakeRuntime.
peer::Peer& PeerOf(detail::Runtime& runtime);

}  // namespace kiln::worker
