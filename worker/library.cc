#include "worker/library.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <tuple>

#include "common/guarded.h"
#include "worker/actor_registry.h"
#include "worker/registry.h"

namespace kiln::worker {
namespace {

// Which file a path led to. A rebuild changes at least one of these.
using FileIdentity = std::tuple<dev_t, ino_t, off_t, time_t, long>;

using Loaded = std::map<std::string, FileIdentity>;  // by path; never erased

Guarded<Loaded>& TheLibraries() {
  static auto* libraries = new Guarded<Loaded>();
  return *libraries;
}

// Returns: nothing if there is no such file; errno says why.
std::optional<FileIdentity> Identify(const std::string& path) {
  struct stat file;
  if (::stat(path.c_str(), &file) != 0) return std::nullopt;
  return FileIdentity(file.st_dev, file.st_ino, file.st_size, file.st_mtim.tv_sec,
                      file.st_mtim.tv_nsec);
}

Status Open(const std::string& path) {
  RegistrationScope scope(path);
  // Local: two libraries may have functions of the same name.
  if (::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
    return {Code::kFailedPrecondition, std::string("cannot load task library: ") + ::dlerror()};
  }
  if (ListTasks(path).empty() && ListActorClasses(path).empty()) {
    return {Code::kFailedPrecondition,
            "task library " + path +
                " registers nothing; write KILN_TASK(name); for each function, KILN_ACTOR(name, "
                "...); for each class of actors"};
  }
  return {};
}

}  // namespace

Status LoadLibrary(const std::string& path) {
  if (path.empty() || path[0] != '/') {
    return {Code::kInvalidArgument, "the path of a task library must be absolute: " + path};
  }
  // Held while loading: a second thread must not run the functions of a half-loaded library.
  return TheLibraries().With([&](Loaded& loaded) -> Status {
    if (loaded.contains(path)) return {};
    std::optional<FileIdentity> identity = Identify(path);
    if (!identity) {
      Code code = errno == ENOENT ? Code::kNotFound : Code::kFailedPrecondition;
      return {code, "cannot load task library " + path + ": " + std::strerror(errno)};
    }
    Status status = Open(path);
    if (status.ok()) loaded.emplace(path, *identity);
    return status;
  });
}

bool IsStale(const std::string& path) {
  return TheLibraries().With([&](Loaded& loaded) {
    auto library = loaded.find(path);
    return library != loaded.end() && Identify(path) != library->second;
  });
}

}  // namespace kiln::worker
