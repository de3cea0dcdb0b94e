#include "daemon/core/job_queue.h"

#include <utility>

namespace kiln::core {

JobId JobQueue::StartFirst() {
  Waiting job = std::move(waiting_.front());
  waiting_.pop_front();
  held_.Add(job.resources);
  running_[job.id] = std::move(job.resources);
  return job.id;
}

Resources JobQueue::End(JobId id) {
  if (auto found = running_.find(id); found != running_.end()) {
    Resources given_back = std::move(found->second);
    running_.erase(found);
    held_.Subtract(given_back);
    return given_back;
  }
  std::erase_if(waiting_, [id](const Waiting& job) { return job.id == id; });
  return Resources();
}

}  // namespace kiln::core
