// Loads gRPC when a session needs it: it and what it needs take 40 ms to load, and most sessions
// are over rings.
#include <dlfcn.h>

#include <string>

#include "common/peer/link.h"

namespace kiln::peer {
namespace {

constexpr const char* kLibrary = "libkiln_grpc.so.0";
constexpr const char* kFunction = "kiln_make_grpc_link";

using MakeLink = Link* (*)(const Endpoint*);

// Beside this library, else where the system looks.
void* Load() {
  Dl_info own;
  if (dladdr(reinterpret_cast<void*>(&OpenGrpcLink), &own) != 0 && own.dli_fname) {
    std::string path = own.dli_fname;
    path = path.substr(0, path.rfind('/') + 1) + kLibrary;
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  }
  return dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
}

}  // namespace

Result<std::unique_ptr<Link>> OpenGrpcLink(const Endpoint& endpoint) {
  static void* const library = Load();
  auto* make = library ? reinterpret_cast<MakeLink>(dlsym(library, kFunction)) : nullptr;
  if (!make) {
    return Status(Code::kUnavailable, "a head is spoken to by gRPC here, and " +
                                          std::string(kLibrary) + " is not beside libkiln.so");
  }
  return std::unique_ptr<Link>(make(&endpoint));
}

}  // namespace kiln::peer
