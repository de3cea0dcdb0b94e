// Reads how much memory processes take, off the loop: the system needs about a millisecond for
// each.
//
// One thread, started by the first question, answers one after the other. As many wait as there are
// open calls that ask.
//
// Thread: any; `done` is called on the reader's own.
// Owner:  a service that outlives the calls it answers.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace kiln::services {

class MemoryReader {
 public:
  // Proportional set sizes in bytes, without shared memory, in the order asked; 0: no such process.
  using Done = std::function<void(const std::vector<uint64_t>& bytes)>;

  MemoryReader() = default;
  // Blocks: until all questions are answered.
  ~MemoryReader();
  MemoryReader(const MemoryReader&) = delete;
  MemoryReader& operator=(const MemoryReader&) = delete;

  void Read(std::vector<int64_t> pids, Done done);

 private:
  struct Question {
    std::vector<int64_t> pids;
    Done done;
  };
  void Run();

  std::mutex mutex_;
  std::condition_variable asked_;
  std::deque<Question> questions_;  // guarded by mutex_; oldest first
  bool stop_ = false;               // guarded by mutex_
  std::thread thread_;              // guarded by mutex_ until it is joined
};

}  // namespace kiln::services
