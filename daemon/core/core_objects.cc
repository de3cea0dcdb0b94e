// Objects from pending to free.
#include <utility>

#include "common/check.h"
#include "daemon/core/core_state.h"

namespace kiln::core {

Status Core::OnObjectPut(SessionNumber session, ObjectId id, std::string value,
                         std::vector<ObjectId> contained, Time now) {
  State& state = *state_;
  if (Status status = state.CheckNewObject(session, id); !status.ok()) return status;
  state.Begin(now);
  Object& object = state.objects.Insert(id, session);
  state.AddReference(*state.sessions.Find(session), object);
  state.Seal(object, std::move(value), std::move(contained), /*is_error=*/false);
  state.Finish();
  return {};
}

Status Core::OnObjectCreated(SessionNumber session, ObjectId id, Slice slice) {
  State& state = *state_;
  if (Status status = state.CheckNewObject(session, id); !status.ok()) return status;
  Object& object = state.objects.Insert(id, session);
  object.state = ObjectState::kCreated;
  object.content = std::make_unique<Content>(Content{slice, {}});
  state.objects.NoteSlice(object);
  state.sessions.Find(session)->created.insert(id);
  return {};
}

Status Core::OnObjectSealed(SessionNumber session_number, ObjectId id,
                            std::vector<ObjectId> contained, Time now) {
  State& state = *state_;
  Session* session = state.sessions.FindOpen(session_number);
  if (session == nullptr || session->created.erase(id) == 0) {
    return Status(Code::kNotFound, "object " + FormatRef(id) + " is not being created by session " +
                                       std::to_string(session_number));
  }
  state.Begin(now);
  Object& object = *state.objects.Find(id);
  state.AddReference(*session, object);
  state.objects.ForgetSlice(object);
  state.Seal(object, std::move(object.content->value), std::move(contained), /*is_error=*/false);
  state.Finish();
  return {};
}

Status Core::OnObjectAborted(SessionNumber session_number, ObjectId id) {
  State& state = *state_;
  Session* session = state.sessions.FindOpen(session_number);
  if (session == nullptr || session->created.erase(id) == 0) {
    return Status(Code::kNotFound, "object " + FormatRef(id) + " is not being created by session " +
                                       std::to_string(session_number));
  }
  state.Begin(state.now);
  state.Lose(*state.objects.Find(id));
  state.Finish();
  return {};
}

void Core::OnWanted(SessionNumber session, std::span<const ObjectId> ids, bool values,
                    TaskId blocked_task, uint32_t needed, Time now) {
  State& state = *state_;
  state.Begin(now);
  if (state.sessions.FindOpen(session)) {
    Task* task = blocked_task ? state.FindBlockable(session, blocked_task) : nullptr;
    const uint64_t number = task ? ++state.last_block : 0;
    uint32_t answered = 0;
    for (ObjectId id : ids) {
      Object* object = state.objects.Find(id);
      if (object == nullptr) {
        state.Decide(DeliverLost{session, id, values});
        ++answered;
      } else if (object->state == ObjectState::kSealed) {
        state.Deliver(*object, session, values);
        ++answered;
      } else {
        state.objects.AddWaiter(*object, {session, values, number, blocked_task});
      }
    }
    const auto all = static_cast<uint32_t>(ids.size());
    if (task && answered < std::min(needed, all)) {
      Block block{
          number, {ids.begin(), ids.end()}, 0, std::min(needed, all) - answered, needed < all};
      state.BlockTask(*task, std::move(block));
    }
  }
  state.Finish();
}

Status Core::State::CheckNewObject(SessionNumber number, ObjectId id) const {
  const Session* session = sessions.Find(number);
  if (session == nullptr || !session->open) {
    return Status(Code::kInvalidArgument, "session " + std::to_string(number) + " is not open");
  }
  if (id == 0 || SessionOf(id) != number) {
    return Status(
        Code::kInvalidArgument,
        "object " + FormatRef(id) + " does not belong to session " + std::to_string(number));
  }
  if (objects.Find(id) != nullptr) {
    return Status(Code::kInvalidArgument, "object id " + FormatRef(id) + " is already used");
  }
  return {};
}

void Core::State::Seal(Object& object, Value value, std::vector<ObjectId> contained,
                       bool is_error) {
  Require(object.state != ObjectState::kSealed, "an object is sealed twice");
  // Unknown ones are left out, and those being created: whoever names one of these before it has
  // contents could close a circle, which would never be freed. So could one that names itself.
  std::erase_if(contained, [&](ObjectId id) {
    const Object* named = objects.Find(id);
    return named == nullptr || named == &object || named->state == ObjectState::kCreated;
  });
  for (ObjectId id : contained) Pin(*objects.Find(id));
  object.state = ObjectState::kSealed;
  object.is_error = is_error;
  object.content = std::make_unique<Content>(Content{std::move(value), std::move(contained)});
  objects.NoteSlice(object);
  Announce(object);
  FreeIfUnwanted(object);
}

// Tells the tasks and sessions that wait for the object.
void Core::State::Announce(Object& object) {
  if (object.interest == nullptr) return;
  const std::unique_ptr<Interest> interest = std::move(object.interest);
  for (Dependency* at = interest->first; at != nullptr;) {
    Task& task = *at->task;
    at->object = nullptr;
    at = at->next;  // MakeReady gives the links back
    const uint32_t unsealed = --task.arguments->unsealed;
    if (object.is_error) {
      failing.push_back(task.id);
    } else if (unsealed == 0) {
      MakeReady(task);
    }
  }
  if (interest->first_waiter.session == kNobody) return;
  Answer(interest->first_waiter, object);
  for (const Waiter& waiter : interest->more_waiters) Answer(waiter, object);
}

void Core::State::Answer(const Waiter& waiter, Object& object) {
  if (!sessions.FindOpen(waiter.session)) return;
  Deliver(object, waiter.session, waiter.with_value);
  CountDelivery(waiter);
}

void Core::State::Deliver(Object& object, SessionNumber session, bool with_value) {
  Decide(DeliverObject{session, object.id, with_value});
  if (object.kept == keep_tag) return;
  object.kept = keep_tag;
  delivered.push_back(&object);
}

void Core::State::Lose(Object& object) {
  if (const auto* slice = std::get_if<Slice>(&object.content->value)) Decide(FreeSlice{*slice});
  objects.ForgetSlice(object);
  LoseContent(object);
}

void Core::State::LoseContent(Object& object) {
  ErrorInfo error;
  error.kind = ErrorKind::kObjectLost;
  error.message = "object " + FormatRef(object.id) +
                  " was given up by its creator, or its creator ended, before it was sealed";
  Seal(object, EncodeError(error), {}, /*is_error=*/true);
}

std::optional<Value> Core::State::TakeCreated(SessionNumber number, ObjectId id) {
  Session* session = sessions.Find(number);
  if (session == nullptr || session->created.erase(id) == 0) return std::nullopt;
  Object& object = *objects.Find(id);
  objects.ForgetSlice(object);
  Value value = std::move(object.content->value);
  LoseContent(object);
  return value;
}

void Core::State::DropCreated(SessionNumber number, const TaskOutcome& outcome) {
  Session* session = sessions.Find(number);
  if (session == nullptr) return;
  for (const TaskResult& result : outcome.results) {
    const auto* created = std::get_if<ObjectId>(&result.value);
    if (created && session->created.erase(*created) == 1) Lose(*objects.Find(*created));
  }
}

void Core::State::Unpin(ObjectId id) {
  Object& object = *objects.Find(id);
  --object.pins;
  FreeIfUnwanted(object);
}

void Core::State::FreeIfUnwanted(Object& object) {
  if (!object.unwanted()) return;
  if (object.state == ObjectState::kPending) return NoteForsaken(object);
  if (object.is_actor()) return dropped.push_back(object.id);
  if (object.state != ObjectState::kSealed) return;
  if (object.kept || object.noted) return;
  object.noted = true;
  unwanted.push_back(&object);
}

void Core::State::Free(Object& object) {
  if (const auto* slice = std::get_if<Slice>(&object.content->value)) Decide(FreeSlice{*slice});
  objects.ForgetSlice(object);
  for (ObjectId id : object.content->contained) Unpin(id);
  objects.Erase(object);
}

}  // namespace kiln::core
