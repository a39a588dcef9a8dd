# feaug::instances: a static library with the largest templates of the CPU, for projects in which many units call feaug.
# feaug/instances.hpp lists the templates. The project that links the library compiles it once, with its own options.
#
# Included by feaug's CMakeLists.txt, and by the package for find_package(feaug COMPONENTS instances). FEAUG_INSTANCES_SOURCE is the path
# of instances.cpp.

if(TARGET feaug_instances)
  return()
endif()
add_library(feaug_instances STATIC EXCLUDE_FROM_ALL ${FEAUG_INSTANCES_SOURCE})
add_library(feaug::instances ALIAS feaug_instances)
target_link_libraries(feaug_instances PUBLIC feaug::feaug)
target_compile_definitions(feaug_instances INTERFACE FEAUG_INSTANCES)
# It may become part of a shared library, such as a Python extension. Two such libraries must not use each other's copies.
set_target_properties(feaug_instances PROPERTIES
  POSITION_INDEPENDENT_CODE ON
  CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON)
