#include "daemon/process/cgroup.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

namespace kiln::process {
namespace {

// One line of /proc/self/cgroup, "4:cpu,cpuacct:/path".
struct Membership {
  std::string controllers;  // empty: version 2
  std::string path;
};

std::vector<Membership> ReadMemberships(const std::string& file) {
  std::vector<Membership> memberships;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    memberships.push_back({line.substr(first + 1, second - first - 1), line.substr(second + 1)});
  }
  return memberships;
}

bool Lists(const std::string& controllers, const std::string& wanted) {
  std::stringstream in(controllers);
  for (std::string controller; std::getline(in, controller, ',');) {
    if (controller == wanted) return true;
  }
  return false;
}

bool IsDirectory(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

// The group's directory and its parents below and with `mount`, those that exist.
std::vector<std::string> DirsBelow(const std::string& mount, std::string path) {
  std::vector<std::string> dirs;
  while (path.size() > 1 && path.find("..") == path.npos) {
    if (IsDirectory(mount + path)) dirs.push_back(mount + path);
    path.resize(path.rfind('/'));
  }
  dirs.push_back(mount);
  return dirs;
}

}  // namespace

std::vector<CgroupDirs> FindCgroups(const CgroupPlace& place, const std::string& controller) {
  std::vector<CgroupDirs> found;
  for (const Membership& membership : ReadMemberships(place.own)) {
    const bool unified = membership.controllers.empty();
    if (!unified && !Lists(membership.controllers, controller)) continue;
    std::vector<std::string> mounts;
    if (unified) {
      mounts = {place.root, place.root + "/unified"};
    } else {
      mounts = {place.root + "/" + membership.controllers, place.root + "/" + controller};
    }
    for (const std::string& mount : mounts) {
      // Version 2 is mounted where its list of controllers is.
      const std::string mark = unified ? mount + "/cgroup.controllers" : mount;
      std::error_code ignored;
      if (!std::filesystem::exists(mark, ignored)) continue;
      found.push_back({unified ? 2 : 1, DirsBelow(mount, membership.path)});
      break;
    }
  }
  return found;
}

std::optional<int64_t> ReadNumber(const std::string& path) {
  std::ifstream in(path);
  std::string word;
  if (!(in >> word)) return std::nullopt;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number;
}

}  // namespace kiln::process
