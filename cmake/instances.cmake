# feaug::instances: a static library with the largest templates of the CPU, for projects in which many units call feaug. They are compiled
# once, with the options of the project that builds it, instead of in every unit. What else is needed is in feaug/instances.hpp.
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
# It may become part of a shared library, such as a Python extension.
set_target_properties(feaug_instances PROPERTIES POSITION_INDEPENDENT_CODE ON)
