// Loads shared libraries that were compiled with different flags into one process, and calls each:
// load LIBRARY…
#include <dlfcn.h>

#include <cstdio>

int main(int count, char** words) {
  for (int i = 1; i < count; ++i) {
    void* library = dlopen(words[i], RTLD_NOW | RTLD_GLOBAL);
    void* found = library == nullptr ? nullptr : dlsym(library, "print_results");
    if (found == nullptr) {
      std::fprintf(stderr, "%s: %s\n", words[i], dlerror());
      return 1;
    }
    reinterpret_cast<void (*)()>(found)();
  }
  return 0;
}
