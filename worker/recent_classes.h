// The classes of tasks that a session used last, so that a submit compares a few fields instead of
// encoding them.
//
// Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace kiln::worker {

// `Key`: what tells classes apart.
template <typename Key>
class RecentClasses {
 public:
  // `is_meant`: true for the key looked for.
  // Returns: the class's id; nothing if it was not used lately.
  template <typename IsMeant>
  std::optional<uint32_t> Find(const IsMeant& is_meant) {
    std::lock_guard lock(mutex_);
    for (size_t i = 0; i < classes_.size(); ++i) {
      if (!is_meant(classes_[i].first)) continue;
      if (i > 0) std::swap(classes_[i], classes_[i - 1]);
      return classes_[i > 0 ? i - 1 : 0].second;
    }
    return std::nullopt;
  }

  void Add(Key key, uint32_t id) {
    std::lock_guard lock(mutex_);
    if (classes_.size() == kMost) classes_.pop_back();
    classes_.emplace_back(std::move(key), id);
  }

 private:
  static constexpr size_t kMost = 16;
  std::mutex mutex_;
  std::vector<std::pair<Key, uint32_t>> classes_;  // those used most are in front
};

}  // namespace kiln::worker
