// The objects of main.cpp, loaded as plug-ins with RTLD_GLOBAL: the dynamic linker uses one copy of
// each inline function for both, from the plug-in that is loaded first.
#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "results.hpp"

namespace {

void* load(const char* file) {
  void* const plug_in = dlopen(file, RTLD_NOW | RTLD_GLOBAL);
  if (plug_in == nullptr) throw std::runtime_error(dlerror());
  return plug_in;
}

/// Calls a function of a plug-in, after both plug-ins are loaded.
void call(bool of_first, const char* name, std::string& text) {
  static void* const first = load(FIRST);
  static void* const second = load(SECOND);
  void* const function = dlsym(of_first ? first : second, name);
  if (function == nullptr) throw std::runtime_error(dlerror());
  reinterpret_cast<void (*)(std::string&)>(function)(text);
}

}  // namespace

void results_of_plain_object(std::string& text) {
  call(PLAIN_IS_FIRST, "results_of_plain_object", text);
}

void results_of_fast_object(std::string& text) {
  call(!PLAIN_IS_FIRST, "results_of_fast_object", text);
}
