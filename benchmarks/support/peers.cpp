// Loads the peers' libraries from their build paths.
#include "support/peers.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <sstream>

#include "support/contest.hpp"

namespace bench {
namespace {

const peer* load(const std::string& path) {
  // RTLD_LOCAL: a peer's BLAS is visible only to that peer.
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const entry = library == nullptr ? nullptr : dlsym(library, peer_entry_name);
  if (entry == nullptr) {
    std::fprintf(stderr, "skipped: %s\n", dlerror());
    return nullptr;
  }
  return reinterpret_cast<peer_entry*>(entry)();
}

std::vector<const peer*> load_all() {
  std::vector<const peer*> loaded;
  std::istringstream paths(FEAUG_BENCH_PEERS);
  for (std::string path; chosen().peers && std::getline(paths, path, ':');)
    if (const peer* one = load(path)) loaded.push_back(one);
  return loaded;
}

}  // namespace

const std::vector<const peer*>& peers() {
  static const std::vector<const peer*> all = load_all();
  return all;
}

}  // namespace bench
