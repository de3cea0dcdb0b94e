// Actors: making, finding and ending them. See session.cc for the rest.
#include <utility>

#include "client/python/src/gil.h"
#include "client/python/src/object_ref.h"
#include "client/python/src/session.h"

namespace kiln::python {

bool Session::CreateActor(const TaskKind& kind, PyObject* positional, PyObject* keywords,
                          v1::CreateActor request, ObjectId* id,
                          std::optional<v1::ActorClass>* found) {
  if (!CheckUsable()) return false;
  const Unpacked unpacked(positional, keywords);
  std::vector<peer::Argument> arguments;
  std::vector<std::string> names;
  if (!AddArguments(unpacked.arguments(), kind.reader, &arguments, &names)) return false;
  const std::vector<peer::Argument> kept = arguments;  // as in Submit
  Result<v1::ActorAnswer> answer = Status();
  {
    WithoutGil others_may_run;
    answer =
        peer_->CreateActor(kind.class_id, std::move(arguments), std::move(request),
                           {.keywords = names, .keep = kind.keep, .interrupted = CheckSignals()});
  }
  if (!answer.ok() && answer.status().code() == Code::kAlreadyExists) {
    PyErr_Format(PyExc_ValueError,
                 "%s; use another name, kiln.get_actor(name) for the one that is there, or "
                 ".options(name=..., get_if_exists=True) for whichever it is",
                 answer.status().message().c_str());
    return false;
  }
  if (!answer.ok()) return SetError(answer.status()), false;
  *id = answer->id();
  if (answer->has_class_()) *found = std::move(*answer->mutable_class_());
  return true;
}

bool Session::FindActor(const std::string& name, const std::string& name_space, ObjectId* id,
                        v1::ActorClass* found) {
  if (!CheckUsable()) return false;
  Result<v1::ActorAnswer> answer = Status();
  {
    WithoutGil others_may_run;
    answer = peer_->FindActor(name, name_space, CheckSignals());
  }
  if (!answer.ok() && answer.status().code() == Code::kNotFound) {
    PyErr_SetString(PyExc_ValueError, answer.status().message().c_str());
    return false;
  }
  if (!answer.ok()) return SetError(answer.status()), false;
  *id = answer->id();
  *found = std::move(*answer->mutable_class_());
  return true;
}

bool Session::KillActor(PyObject* ref, bool may_restart) {
  if (!CheckUsable() || !CheckRef(ref)) return false;
  const ObjectId id = IdOf(ref);
  WithoutGil others_may_run;
  peer_->KillActor(id, may_restart);
  return true;
}

bool Session::CheckPendingCalls(ObjectId actor, uint64_t most) {
  if (!CheckUsable()) return false;
  Result<uint64_t> pending = Status();
  {
    WithoutGil others_may_run;
    pending = peer_->CountPendingCalls(actor, CheckSignals());
  }
  // Of an actor that is not there any more the call itself says what has become of it.
  if (!pending.ok() && pending.status().code() == Code::kNotFound) return true;
  if (!pending.ok()) return SetError(pending.status()), false;
  if (*pending < most) return true;
  Raise("PendingCallsLimitExceeded",
        "the actor has " + std::to_string(*pending) +
            " unfinished calls of this program, and its max_pending_calls is " +
            std::to_string(most) + "; wait for some of them (kiln.wait), or raise the bound");
  return false;
}

}  // namespace kiln::python
