#include "daemon/sessions/session_table.h"

#include <algorithm>
#include <random>
#include <utility>

#include "common/limits.h"

namespace kiln::sessions {

SessionTable::SessionTable(SessionContext context)
    : context_(context), last_number_(std::random_device()() % (kMaxSessionNumber / 2)) {}

Session* SessionTable::Open(Channel* channel) {
  auto owned = std::make_unique<Session>(this, channel);
  Session* session = owned.get();
  EventLoop::TimerId late = context_.loop->At(Clock::now() + limits::kHelloTimeout, [session] {
    if (session->number() == 0) session->SendGoodbye("no Hello came in time");
  });
  sessions_.emplace(session, Entry{std::move(owned), late});
  return session;
}

Session* SessionTable::Find(SessionNumber number) {
  auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : found->second;
}

Session* SessionTable::FindWorker(WorkerId worker) {
  auto found = by_worker_.find(worker);
  return found == by_worker_.end() ? nullptr : found->second;
}

void SessionTable::Visit(const std::function<void(const Session&)>& visit) const {
  for (const auto& [number, session] : by_number_) visit(*session);
}

void SessionTable::FlushAll() {
  flushing_.swap(dirty_);
  for (Session* session : flushing_) {
    if (sessions_.contains(session)) session->Flush();
  }
  flushing_.clear();
}

void SessionTable::CloseAll(const std::string& reason) {
  Refuse(reason);
  std::vector<Session*> all;
  for (const auto& [session, entry] : sessions_) all.push_back(session);
  for (Session* session : all) session->SendGoodbye(reason);
}

SessionNumber SessionTable::NextNumber() {
  do {
    last_number_ = last_number_ % kMaxSessionNumber + 1;
  } while (by_number_.contains(last_number_));
  return last_number_;
}

void SessionTable::OnGreeted(Session* session) {
  by_number_.emplace(session->number(), session);
  if (session->worker() != 0) by_worker_.emplace(session->worker(), session);
}

void SessionTable::Remove(Session* session) {
  context_.loop->CancelTimer(sessions_.at(session).hello_timer);
  by_number_.erase(session->number());
  if (session->worker() != 0) by_worker_.erase(session->worker());
  std::erase(dirty_, session);
  sessions_.erase(session);
}

std::string SessionTable::DescribeHolders() const {
  std::string text;
  for (const core::ObjectView& object : context_.core->BiggestObjects(limits::kHoldersNamed)) {
    std::string maker = context_.core->MakerName(object.id);
    text += "\n  " + FormatRef(object.id) + ": " + std::to_string(core::SizeBytes(*object.value)) +
            " bytes, " + std::to_string(object.references) + " references, " +
            (maker.empty() ? "put by session " + std::to_string(object.creator)
                           : "made by task " + maker);
  }
  if (text.empty()) return "";
  return "; biggest holders:" + text +
         "\nrelease refs that are no longer needed, or start the head with a larger "
         "--object-store-memory";
}

}  // namespace kiln::sessions
