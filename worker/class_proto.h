// The options of the API as the wire has them. Amounts and counts are checked here, where the
// mistake is, and not by the head.
//
// Thread: any. Each throws std::invalid_argument, naming the option.
#pragma once

#include <string_view>

#include "kiln/detail/runtime.h"
#include "kiln/options.h"
#include "kiln/v1/session.pb.h"

namespace kiln::worker {

v1::TaskClass ToProto(std::string_view library, std::string_view function,
                      const TaskOptions& options);
v1::TaskClass ToProto(const detail::ActorConstructor& constructor, const ActorOptions& options);
v1::TaskClass ToProto(const detail::ActorMethod& method, const CallOptions& options);

// How often calls of this method run again.
int RetriesOf(const detail::ActorMethod& method, const CallOptions& options);

// What handles of the actor are told.
v1::ActorClass ToActorClass(const detail::ActorConstructor& constructor,
                            const ActorOptions& options);
detail::ActorClass FromProto(const v1::ActorClass& actor_class);

}  // namespace kiln::worker
