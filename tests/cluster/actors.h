// Actors that several scenarios use.
#pragma once

#include <string>

namespace kiln::testing {

class Counter {
 public:
  explicit Counter(int start) : count_(start) {}
  // Appends "x" to `begun` when it is made, to `ended` when it is destroyed.
  Counter(const std::string& begun, std::string ended);
  ~Counter();

  int Add(int by) { return count_ += by; }
  int Value() const { return count_; }
  int Pid() const;
  // Times the actor was started anew.
  uint32_t Restarts() const;
  // Appends "x" to the file, then dies by this signal, or not by 0. Returns: as Add(1).
  int AddAndDie(const std::string& file, int signal);
  // Dies by SIGKILL in all attempts but the last of `attempts`, which are counted in the file.
  int AddInAttempt(const std::string& file, size_t attempts);
  // Throws in all attempts but the last, counted as above.
  int AddIfAttempt(const std::string& file, size_t attempts);
  void Exit();
  // Appends "x" to `begun`, then waits until the file `gate` is there or the call is cancelled.
  // Returns: false if it was cancelled.
  bool Gate(const std::string& begun, const std::string& gate);

 private:
  int count_ = 0;
  std::string ended_;
};

}  // namespace kiln::testing
