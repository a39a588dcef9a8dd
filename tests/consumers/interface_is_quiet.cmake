# Checks that feaug::feaug requires only C++20 and its dependencies from its users.

foreach(property IN ITEMS
    INTERFACE_COMPILE_DEFINITIONS INTERFACE_COMPILE_OPTIONS INTERFACE_LINK_OPTIONS
    INTERFACE_PRECOMPILE_HEADERS INTERFACE_SOURCES)
  get_target_property(value feaug::feaug ${property})
  if(value)
    message(FATAL_ERROR "feaug::feaug pushes ${property} '${value}' on its users")
  endif()
endforeach()

get_target_property(features feaug::feaug INTERFACE_COMPILE_FEATURES)
if(NOT features STREQUAL "cxx_std_20")
  message(FATAL_ERROR "feaug::feaug asks for '${features}', wanted cxx_std_20")
endif()
get_target_property(libraries feaug::feaug INTERFACE_LINK_LIBRARIES)
if(NOT libraries STREQUAL "Eigen3::Eigen;Random123::Random123;Threads::Threads")
  message(FATAL_ERROR "feaug::feaug links '${libraries}'")
endif()
