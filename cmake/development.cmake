# How tests and examples are compiled. These are options of this directory and those below it:
# the INTERFACE target, and so a user's own target, never sees them.

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wpedantic)
if(FEAUG_WERROR)
  add_compile_options(-Werror)
endif()
if(FEAUG_NATIVE)
  add_compile_options(-O3 -march=native)
  # GCC 12 sees uninitialised values in its own AVX-512 headers (GCC bug 105593).
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
if(FEAUG_SANITIZE)
  add_compile_options(
    -fsanitize=${FEAUG_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FEAUG_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumentation makes g++ see uninitialised values in the standard library's own code.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
endif()
