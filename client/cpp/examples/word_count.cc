// Map and reduce over real text: counts the words of all files given (directories: of all files in
// them), by default the licences that come with Debian.
//   word_count [--small] [FILE_OR_DIRECTORY...]
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "example.h"
#include "tasks.h"

namespace {

namespace fs = std::filesystem;
using examples::WordCounts;

constexpr const char* kDefaultPath = "/usr/share/common-licenses";
constexpr size_t kChunkBytes = 64 * 1024;  // of text for one task: milliseconds of work

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// All regular files at or below `paths`, links to the same file once.
std::vector<fs::path> FindFiles(const std::vector<std::string>& paths) {
  std::vector<fs::path> files;
  for (const std::string& path : paths) {
    if (!fs::is_directory(path)) {
      files.push_back(fs::canonical(path));
      continue;
    }
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) files.push_back(fs::canonical(entry.path()));
    }
  }
  std::ranges::sort(files);
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

// The texts cut and joined into pieces of about kChunkBytes, no word cut in two.
std::vector<std::string> MakeChunks(const std::vector<fs::path>& files) {
  std::vector<std::string> chunks(1);
  for (const fs::path& path : files) {
    std::string text = ReadFile(path) + "\n";
    for (std::string_view rest = text; !rest.empty();) {
      size_t cut = rest.size();
      if (cut > kChunkBytes) cut = std::min(rest.find_first_of(" \n", kChunkBytes), cut - 1) + 1;
      if (chunks.back().size() + cut > kChunkBytes && !chunks.back().empty()) chunks.emplace_back();
      chunks.back() += rest.substr(0, cut);
      rest.remove_prefix(cut);
    }
  }
  return chunks;
}

WordCounts CountSerially(const std::vector<std::string>& chunks) {
  WordCounts counts;
  for (const std::string& chunk : chunks) {
    counts = examples::MergeCounts(std::move(counts), examples::WordCount(chunk));
  }
  return counts;
}

WordCounts CountByTasks(kiln::Session& session, const std::vector<std::string>& chunks) {
  std::vector<kiln::Ref<WordCounts>> counts;
  for (const std::string& chunk : chunks) {
    counts.push_back(session.Submit(examples::WordCount, chunk));
  }
  while (counts.size() > 1) {  // in pairs: see tree.cc
    std::vector<kiln::Ref<WordCounts>> merged;
    for (size_t i = 0; i + 1 < counts.size(); i += 2) {
      merged.push_back(session.Submit(examples::MergeCounts, counts[i], counts[i + 1]));
    }
    if (counts.size() % 2 == 1) merged.push_back(counts.back());
    counts = std::move(merged);
  }
  return session.Get(counts[0]);
}

void PrintMostFrequent(const WordCounts& counts) {
  std::vector<std::pair<int64_t, std::string>> words;
  for (const auto& [word, count] : counts) words.emplace_back(-count, word);
  std::ranges::sort(words);
  for (size_t i = 0; i < std::min<size_t>(words.size(), 5); ++i) {
    std::printf("%8lld %s\n", -static_cast<long long>(words[i].first), words[i].second.c_str());
  }
}

int Run(kiln::Session& session, const examples::Arguments& arguments) {
  auto files =
      FindFiles(arguments.paths.empty() ? std::vector<std::string>{kDefaultPath} : arguments.paths);
  if (arguments.small && files.size() > 3) files.resize(3);
  const std::vector<std::string> chunks = MakeChunks(files);
  size_t bytes = 0;
  for (const std::string& chunk : chunks) bytes += chunk.size();
  std::printf("%zu files, %.1f MB in %zu pieces\n", files.size(), bytes / 1e6, chunks.size());

  WordCounts expected, counts;
  double serial_ms = examples::Milliseconds([&] { expected = CountSerially(chunks); });
  double kiln_ms = examples::Milliseconds([&] { counts = CountByTasks(session, chunks); });
  PrintMostFrequent(counts);
  return examples::Conclude("word_count", counts == expected, serial_ms, kiln_ms);
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = examples::ParseArguments(argc, argv);
  kiln::Session session = examples::Start(argc, argv);
  try {
    return Run(session, arguments);
  } catch (const fs::filesystem_error& error) {
    std::fprintf(stderr, "word_count: %s\n", error.what());
    return 2;
  }
}
