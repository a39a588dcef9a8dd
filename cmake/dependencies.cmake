# What feaug and its tests and examples stand on: the system's packages where there are any, else
# fetched sources.
#
# Not exercised: the download itself and the build of a fetched ZLIB. What follows a download was
# tried with FETCHCONTENT_SOURCE_DIR_<NAME> naming local copies.

include(FetchContent)
list(PREPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})

# Fetches a repository without running its CMakeLists.txt; its path is in <name>_SOURCE_DIR, with
# <name> in lower case.
macro(feaug_fetch name repository tag)
  if(NOT FEAUG_FETCH_DEPENDENCIES)
    message(FATAL_ERROR
      "feaug: ${name} was not found: install it or set FEAUG_FETCH_DEPENDENCIES=ON.")
  endif()
  message(STATUS "feaug: ${name} was not found; fetching ${repository} at ${tag}")
  FetchContent_Declare(${name}
    GIT_REPOSITORY ${repository}
    GIT_TAG ${tag}
    GIT_SHALLOW ON
    SOURCE_SUBDIR no-cmake)
  FetchContent_MakeAvailable(${name})
endmacro()

# An imported target (and so no part of feaug's export set, and silent about warnings) over headers.
function(feaug_import_headers target directory)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE ${directory})
endfunction()

# A target that a parent project has already made is taken as it is. GLOBAL: the parent links
# feaug::feaug from its own directory and must see what that stands on.

if(NOT TARGET Eigen3::Eigen)
  # No version here: Eigen's own file would refuse 5 to who asks for 3.4.
  find_package(Eigen3 CONFIG QUIET GLOBAL)
  if(NOT TARGET Eigen3::Eigen)
    feaug_fetch(Eigen3 https://gitlab.com/libeigen/eigen.git 3.4.0)
    feaug_import_headers(Eigen3::Eigen ${eigen3_SOURCE_DIR})
  elseif(Eigen3_VERSION VERSION_LESS 3.4)
    message(FATAL_ERROR "feaug: Eigen ${Eigen3_VERSION} in ${Eigen3_DIR} is too old, wanted 3.4 or later.")
  endif()
endif()

if(NOT TARGET Random123::Random123)
  find_package(Random123 MODULE QUIET GLOBAL)
  if(NOT Random123_FOUND)
    feaug_fetch(Random123 https://github.com/DEShawResearch/random123.git v1.14.0)
    feaug_import_headers(Random123::Random123 ${random123_SOURCE_DIR}/include)
  endif()
endif()

if(NOT TARGET Threads::Threads)
  find_package(Threads REQUIRED GLOBAL)
endif()

if(FEAUG_BUILD_TESTS AND NOT TARGET Catch2::Catch2)
  find_package(Catch2 2.13 CONFIG QUIET)
  if(NOT Catch2_FOUND)
    feaug_fetch(Catch2 https://github.com/catchorg/Catch2.git v2.13.10)
    feaug_import_headers(Catch2::Catch2 ${catch2_SOURCE_DIR}/single_include)
  endif()
endif()

if((FEAUG_BUILD_TESTS OR FEAUG_BUILD_EXAMPLES) AND NOT TARGET nlohmann_json::nlohmann_json)
  find_package(nlohmann_json 3.10 CONFIG QUIET)
  if(NOT nlohmann_json_FOUND)
    feaug_fetch(nlohmann_json https://github.com/nlohmann/json.git v3.11.2)
    feaug_import_headers(nlohmann_json::nlohmann_json ${nlohmann_json_SOURCE_DIR}/single_include)
  endif()
endif()

if(FEAUG_BUILD_EXAMPLES)
  if(NOT TARGET CLI11::CLI11)
    find_package(CLI11 2.1 CONFIG QUIET)
    if(NOT CLI11_FOUND)
      feaug_fetch(CLI11 https://github.com/CLIUtils/CLI11.git v2.3.2)
      feaug_import_headers(CLI11::CLI11 ${cli11_SOURCE_DIR}/include)
    endif()
  endif()
  if(NOT TARGET ZLIB::ZLIB)
    find_package(ZLIB QUIET)
    if(NOT ZLIB_FOUND)
      feaug_fetch(zlib https://github.com/madler/zlib.git v1.3.1)
      enable_language(C)
      add_subdirectory(${zlib_SOURCE_DIR} ${zlib_BINARY_DIR} EXCLUDE_FROM_ALL)
      target_include_directories(zlibstatic INTERFACE ${zlib_SOURCE_DIR} ${zlib_BINARY_DIR})
      add_library(ZLIB::ZLIB ALIAS zlibstatic)
    endif()
  endif()
endif()

if(FEAUG_BUILD_BENCHMARKS AND NOT TARGET benchmark::benchmark)
  find_package(benchmark 1.7 CONFIG QUIET)
  if(NOT benchmark_FOUND)
    feaug_fetch(benchmark https://github.com/google/benchmark.git v1.7.1)
    foreach(option IN ITEMS TESTING INSTALL WERROR)
      set(BENCHMARK_ENABLE_${option} OFF CACHE INTERNAL "")
    endforeach()
    add_subdirectory(${benchmark_SOURCE_DIR} ${benchmark_BINARY_DIR} EXCLUDE_FROM_ALL SYSTEM)
  endif()
endif()
