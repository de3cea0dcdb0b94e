#include "daemon/services/memory_reader.h"

#include <system_error>
#include <utility>

#include "daemon/process/memory.h"

namespace kiln::services {
namespace {

uint64_t BytesOf(int64_t pid) {
  return pid <= 0 ? 0 : process::ProportionalBytesOf(pid);
}

}  // namespace

MemoryReader::~MemoryReader() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  asked_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void MemoryReader::Read(std::vector<int64_t> pids, Done done) {
  const size_t count = pids.size();
  std::unique_lock lock(mutex_);
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error&) {  // no threads left for this user
    lock.unlock();
    return done(std::vector<uint64_t>(count));
  }
  questions_.push_back({std::move(pids), std::move(done)});
  asked_.notify_one();
}

void MemoryReader::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    asked_.wait(lock, [this] { return stop_ || !questions_.empty(); });
    if (questions_.empty()) return;
    const Question question = std::move(questions_.front());
    questions_.pop_front();
    lock.unlock();
    std::vector<uint64_t> bytes;
    for (int64_t pid : question.pids) bytes.push_back(BytesOf(pid));
    question.done(bytes);
    lock.lock();
  }
}

}  // namespace kiln::services
