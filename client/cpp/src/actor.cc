#include "kiln/actor.h"

#include <cctype>
#include <optional>

#include "kiln/detail/task_scope.h"
#include "kiln/error.h"

namespace kiln {
namespace detail {
namespace {

bool IsNameCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Up to the next comma that separates items: not one between brackets.
std::string_view TakeItem(std::string_view* items) {
  int depth = 0;
  size_t end = 0;
  for (; end < items->size(); ++end) {
    const char c = (*items)[end];
    if (c == ',' && depth == 0) break;
    if (c == '(' || c == '<' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == '>' || c == ']' || c == '}') --depth;
  }
  std::string_view item = items->substr(0, end);
  items->remove_prefix(std::min(end + 1, items->size()));
  return item;
}

}  // namespace

// The last name in it: of "static_cast<int (Counter::*)(int)>(&Counter::Add)" too.
std::string TakeItemName(std::string_view* items) {
  std::string_view item = TakeItem(items);
  while (!item.empty() && !IsNameCharacter(item.back())) item.remove_suffix(1);
  size_t start = item.size();
  while (start > 0 && IsNameCharacter(item[start - 1])) --start;
  return std::string(item.substr(start));
}

ActorRefPtr MakeActorRef(const std::shared_ptr<Runtime>& runtime, FoundActor found) {
  return std::make_shared<const ActorRef>(
      ActorRef{std::make_shared<const RefHandle>(runtime, found.id), std::move(found.actor_class)});
}

const ActorRef& Checked(const ActorRefPtr& actor) {
  if (actor == nullptr) throw std::logic_error("kiln: an empty handle names no actor");
  return *actor;
}

void CheckClass(const ActorRef& actor, const std::string& class_name) {
  const ActorClass& actual = actor.actor_class;
  if (actual.language == "cpp" && actual.name == class_name) return;
  throw TypeMismatchError("actor " + FormatId(actor.handle->id()) + " is of class " + actual.name +
                          " (" + actual.language + "), not " + class_name + " (cpp)");
}

ActorRefPtr CurrentActorRef(const std::string& class_name) {
  const ActorContext& actor = CurrentActorContext();
  std::shared_ptr<Runtime> runtime = CurrentTaskRuntime();
  runtime->Retain(actor.id);
  return MakeActorRef(runtime, {actor.id, {class_name, "cpp"}});
}

namespace {

// What travels beside the reference. Names are the wire's: docs/wire.md, "Values".
constexpr std::string_view kActorKey = "actor";
constexpr std::string_view kClassKey = "class";
constexpr std::string_view kLanguageKey = "language";
constexpr std::string_view kRetriesKey = "max_task_retries";
constexpr std::string_view kPendingKey = "max_pending_calls";

}  // namespace

void PackActor(Packer& out, const ActorRefPtr& actor) {
  const ActorRef& packed = Checked(actor);
  out.MapHeader(5);
  out.Text(kActorKey);
  out.Reference(packed.handle);
  out.Text(kClassKey);
  out.Text(packed.actor_class.name);
  out.Text(kLanguageKey);
  out.Text(packed.actor_class.language);
  out.Text(kRetriesKey);
  out.Signed(packed.actor_class.max_task_retries);
  out.Text(kPendingKey);
  out.Unsigned(packed.actor_class.max_pending_calls);
}

ActorRefPtr UnpackActor(Unpacker& in, const std::string& expected) {
  const std::shared_ptr<Runtime>& runtime = in.runtime();
  if (runtime == nullptr) throw Mismatch("an actor outside of a session");
  std::shared_ptr<const RefHandle> handle;
  ActorClass actor_class;
  for (size_t left = in.ReadMapHeader(expected); left > 0; --left) {
    const std::string_view key = in.ReadText();
    if (key == kActorKey) {
      const Id id = in.ReadReference();
      runtime->Retain(id);
      handle = std::make_shared<const RefHandle>(runtime, id);
    } else if (key == kClassKey) {
      actor_class.name = in.ReadText();
    } else if (key == kLanguageKey) {
      actor_class.language = in.ReadText();
    } else if (key == kRetriesKey) {
      actor_class.max_task_retries = static_cast<int>(in.ReadSigned(-1, INT32_MAX, "int"));
    } else if (key == kPendingKey) {
      actor_class.max_pending_calls =
          static_cast<uint32_t>(in.ReadUnsigned(UINT32_MAX, "unsigned int"));
    } else {
      throw Mismatch("expected " + expected + ", got a map with the field \"" + std::string(key) +
                     "\"");
    }
  }
  if (handle == nullptr) {
    throw Mismatch("expected " + expected + ", got a map without the field \"actor\"");
  }
  return std::make_shared<const ActorRef>(ActorRef{std::move(handle), std::move(actor_class)});
}

}  // namespace detail

detail::ActorConstructor ActorCreator::Describe(const PyActor& actor) {
  return {detail::PythonLibrary(actor.root),
          detail::PythonName(actor.module, actor.class_name),
          actor.class_name,
          "python",
          {}};
}

void ExitActor() {
  (void)detail::CurrentActorContext();
  throw detail::ActorExit();
}

uint32_t ActorRestarts() {
  return detail::CurrentActorContext().restarts;
}

}  // namespace kiln
