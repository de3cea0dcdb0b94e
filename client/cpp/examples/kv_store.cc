// A key-value store of several actors, each with a share of the keys, whose processes are killed
// under load. A shard writes every change to a log before it answers, and is started anew from
// that: what was answered is never lost. Setting a key twice does no harm, so calls may run again
// after a restart.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "example.h"

namespace {

using Entry = std::pair<std::string, int64_t>;

class Shard {
 public:
  explicit Shard(const std::string& log) {
    Replay(log);
    file_ = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file_ < 0) throw std::runtime_error("cannot open " + log);
  }
  ~Shard() { close(file_); }

  void Set(const std::vector<Entry>& entries) {
    std::string lines;
    for (const auto& [key, value] : entries) lines += key + ' ' + std::to_string(value) + '\n';
    if (write(file_, lines.data(), lines.size()) != static_cast<ssize_t>(lines.size())) {
      throw std::runtime_error("cannot write to the log");
    }
    for (const auto& [key, value] : entries) values_[key] = value;
  }

  std::vector<std::optional<int64_t>> Get(const std::vector<std::string>& keys) const {
    std::vector<std::optional<int64_t>> found;
    for (const std::string& key : keys) {
      auto value = values_.find(key);
      found.push_back(value == values_.end() ? std::nullopt : std::optional(value->second));
    }
    return found;
  }

  uint32_t Restarts() const { return kiln::ActorRestarts(); }

 private:
  // A line without an end is one that was being written when the process died: nobody was answered.
  void Replay(const std::string& log) {
    std::ifstream lines(log);
    std::string line;
    uintmax_t whole_bytes = 0;
    while (std::getline(lines, line) && !lines.eof()) {
      whole_bytes += line.size() + 1;
      const size_t space = line.find(' ');
      values_[line.substr(0, space)] = std::stoll(line.substr(space + 1));
    }
    if (std::filesystem::exists(log)) std::filesystem::resize_file(log, whole_bytes);
  }

  int file_ = -1;
  std::unordered_map<std::string, int64_t> values_;
};
KILN_ACTOR(Shard, &Shard::Set, &Shard::Get, &Shard::Restarts);

// The store as its users see it. Calls are made for many keys at a time, one for each shard.
class Store {
 public:
  Store(kiln::Session session, const std::filesystem::path& folder, size_t shards)
      : session_(std::move(session)) {
    const kiln::ActorOptions tough{.max_restarts = -1, .max_task_retries = -1};
    for (size_t i = 0; i < shards; ++i) {
      const std::string log = folder / ("shard-" + std::to_string(i) + ".log");
      shards_.push_back(session_.With(tough).Create<Shard>(log));
    }
  }

  std::vector<kiln::Ref<void>> Set(const std::vector<Entry>& entries) const {
    std::vector<std::vector<Entry>> shares(shards_.size());
    for (const Entry& entry : entries) shares[ShardOf(entry.first)].push_back(entry);
    std::vector<kiln::Ref<void>> set;
    for (size_t i = 0; i < shards_.size(); ++i) {
      set.push_back(shards_[i].Call(&Shard::Set, shares[i]));
    }
    return set;
  }

  std::optional<int64_t> Get(const std::string& key) const {
    return session_.Get(shards_[ShardOf(key)].Call(&Shard::Get, std::vector<std::string>{key}))[0];
  }

  // kill -9 of a shard's process.
  void Hurt(size_t shard) const {
    session_.Kill(shards_[shard % shards_.size()], /*no_restart=*/false);
  }

  uint32_t Restarts() const {
    std::vector<kiln::Ref<uint32_t>> counts;
    for (const auto& shard : shards_) counts.push_back(shard.Call(&Shard::Restarts));
    uint32_t sum = 0;
    for (uint32_t count : session_.Get(counts)) sum += count;
    return sum;
  }

 private:
  size_t ShardOf(const std::string& key) const {
    return std::hash<std::string>()(key) % shards_.size();
  }

  kiln::Session session_;
  std::vector<kiln::ActorHandle<Shard>> shards_;
};

std::vector<Entry> Batch(int64_t number, int64_t size) {
  std::vector<Entry> entries;
  for (int64_t i = number * size; i < (number + 1) * size; ++i) {
    entries.emplace_back("key-" + std::to_string(i * 7 % (10 * size)), i);
  }
  return entries;
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = examples::ParseArguments(argc, argv);
  const int64_t batches = arguments.small ? 40 : 400;
  const int64_t batch_size = arguments.small ? 100 : 1000;
  kiln::Session session = examples::Start(argc, argv);
  const auto folder =
      std::filesystem::temp_directory_path() / ("kiln-kv-store-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  std::printf("%lld batches of %lld keys into 4 shards, one of which is killed now and then\n",
              static_cast<long long>(batches), static_cast<long long>(batch_size));

  std::unordered_map<std::string, int64_t> expected;
  double serial_ms = examples::Milliseconds([&] {
    Shard alone(folder / "alone.log");
    for (int64_t i = 0; i < batches; ++i) {
      alone.Set(Batch(i, batch_size));
      for (const auto& [key, value] : Batch(i, batch_size)) expected[key] = value;
    }
  });

  bool ok = true;
  double kiln_ms = 0;
  {
    Store store(session, folder, 4);
    (void)store.Restarts();  // all are there: what is killed below has begun to live
    kiln_ms = examples::Milliseconds([&] {
      std::vector<kiln::Ref<void>> set;
      for (int64_t i = 0; i < batches; ++i) {
        for (auto& ref : store.Set(Batch(i, batch_size))) set.push_back(std::move(ref));
        if (i % 20 == 10) store.Hurt(static_cast<size_t>(i / 20));
      }
      session.Get(set);
    });
    for (const auto& [key, value] : expected) ok = ok && store.Get(key) == value;
    const uint32_t restarts = store.Restarts();
    std::printf("%zu keys, all answers right: %s; shards were started anew %u times\n",
                expected.size(), ok ? "yes" : "no", restarts);
    ok = ok && restarts > 0;
  }
  std::filesystem::remove_all(folder);
  return examples::Conclude("kv_store", ok, serial_ms, kiln_ms);
}
