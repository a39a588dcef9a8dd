# Finds the dependencies of feaug, its tests, examples and benchmarks. A dependency that is not
# installed is downloaded with FetchContent, unless FEAUG_FETCH_DEPENDENCIES is OFF.
#
# Not tested: the downloads, and building ZLIB from source. The code that runs after a download was
# tested with local copies (FETCHCONTENT_SOURCE_DIR_<NAME>).

include(FetchContent)
list(PREPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})

# Fetches a repository without running its CMakeLists.txt. Sets <name>_SOURCE_DIR to its path, with
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

# Creates a header-only target. It is IMPORTED, so that it is not part of feaug's export set and its
# headers cause no warnings.
function(feaug_import_headers target directory)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE ${directory})
endfunction()

# A target that the parent project has already created is used as it is. GLOBAL: the parent links
# feaug::feaug from its own directory, where the targets it depends on must be visible.

if(NOT TARGET Eigen3::Eigen)
  # No version here: if 3.4 is requested, Eigen 5's package file reports itself as incompatible.
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

if(FEAUG_BUILD_TESTS AND TARGET Catch2::Catch2)
  # Only version 3 has this header.
  get_target_property(folders Catch2::Catch2 INTERFACE_INCLUDE_DIRECTORIES)
  foreach(folder IN LISTS folders)
    string(REGEX REPLACE "^\\$<BUILD_INTERFACE:(.*)>$" "\\1" folder "${folder}")
    if(EXISTS "${folder}/catch2/catch_all.hpp")
      message(FATAL_ERROR "feaug: its tests are for Catch2 2, and Catch2 3 is defined here. Set FEAUG_BUILD_TESTS to OFF.")
    endif()
  endforeach()
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

if(FEAUG_BUILD_EXAMPLES OR feaug_fuzzes_readers)
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
