#include "daemon/core/reservation_queue.h"

#include <utility>

namespace kiln::core {

void ReservationQueue::Start(const Waiting& waiting) {
  held_.Add(waiting.resources);
  holders_[waiting.id] = waiting.resources;
  const uint64_t id = waiting.id;  // goes with `waiting`
  std::erase_if(waiting_, [id](const Waiting& one) { return one.id == id; });
}

Resources ReservationQueue::End(uint64_t id) {
  if (auto found = holders_.find(id); found != holders_.end()) {
    Resources given_back = std::move(found->second);
    holders_.erase(found);
    held_.Subtract(given_back);
    return given_back;
  }
  std::erase_if(waiting_, [id](const Waiting& one) { return one.id == id; });
  return Resources();
}

}  // namespace kiln::core
