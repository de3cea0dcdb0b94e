#include "daemon/process/fork_orders.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace kiln::process {
namespace {

// For a server to answer an order whose worker is to be killed, or to end after its socket: both
// take a millisecond, unless it is stopped or broken.
constexpr auto kAnswerTimeout = std::chrono::seconds(2);

}  // namespace

void ForkOrders::AddServer(uint64_t server, UniqueFd socket) {
  servers_[server].socket = std::move(socket);
}

void ForkOrders::Add(uint64_t server, uint64_t launch, UniqueFd output, UniqueFd file) {
  servers_.at(server).waiting.push_back(Order{launch, std::move(output), std::move(file)});
}

bool ForkOrders::Withdraw(uint64_t server, uint64_t launch, Clock::time_point now) {
  const auto found = servers_.find(server);
  if (found == servers_.end()) return false;
  Server& of = found->second;
  if (std::erase_if(of.waiting, [&](const Order& order) { return order.launch == launch; }) > 0) {
    return true;
  }
  of.stuck_at = std::min(of.stuck_at, now + kAnswerTimeout);
  return false;
}

void ForkOrders::Send() {
  for (auto& [id, server] : servers_) {
    while (server.ready && !server.closed && !server.waiting.empty()) {
      const Order& order = server.waiting.front();
      // An error is the end of the socket, which Receive sees.
      if (SendForkOrder(server.socket.get(), order.launch, order.output.get(), order.file.get())) {
        break;
      }
      server.sent.insert(order.launch);
      server.waiting.pop_front();
    }
  }
}

std::vector<ForkAnswer> ForkOrders::Receive(uint64_t id) {
  Server& server = servers_.at(id);
  std::vector<ForkAnswer> answers;
  while (!server.closed) {
    ForkAnswer answer;
    const int error = ReceiveForkAnswer(server.socket.get(), &answer);
    if (error == EAGAIN) break;
    if (error != 0) {
      server.closed = true;
      server.stuck_at = Clock::now() + kAnswerTimeout;
    } else if (answer.launch == 0) {
      server.ready = true;
    } else if (server.sent.erase(answer.launch) == 1) {
      server.stuck_at = Clock::time_point::max();
      answers.push_back(answer);
    }
  }
  return answers;
}

std::vector<uint64_t> ForkOrders::RemoveServer(uint64_t id) {
  const auto found = servers_.find(id);
  if (found == servers_.end()) return {};
  const Server& server = found->second;
  std::vector<uint64_t> launches(server.sent.begin(), server.sent.end());
  for (const Order& order : server.waiting) launches.push_back(order.launch);
  servers_.erase(found);
  std::sort(launches.begin(), launches.end());
  return launches;
}

std::vector<uint64_t> ForkOrders::Servers() const {
  std::vector<uint64_t> ids;
  for (const auto& [id, server] : servers_) ids.push_back(id);
  return ids;
}

std::vector<uint64_t> ForkOrders::Stuck(Clock::time_point now) const {
  std::vector<uint64_t> ids;
  for (const auto& [id, server] : servers_) {
    if (server.stuck_at <= now) ids.push_back(id);
  }
  return ids;
}

bool ForkOrders::any_may_be_stuck() const {
  return std::any_of(servers_.begin(), servers_.end(), [](const auto& entry) {
    return entry.second.stuck_at != Clock::time_point::max();
  });
}

bool ForkOrders::any_sent() const {
  return std::any_of(servers_.begin(), servers_.end(),
                     [](const auto& entry) { return !entry.second.sent.empty(); });
}

void ForkOrders::AppendPolls(std::vector<pollfd>* fds) const {
  for (const auto& [id, server] : servers_) {
    if (server.closed) continue;
    const bool sends = server.ready && !server.waiting.empty();
    fds->push_back({server.socket.get(), static_cast<short>(sends ? POLLIN | POLLOUT : POLLIN), 0});
  }
}

}  // namespace kiln::process
