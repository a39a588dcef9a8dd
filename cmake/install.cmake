# Rules of cmake --install: the headers, the licence, a package for find_package(feaug) and one for
# pkg-config.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# feaug is header-only, so the package is the same on every architecture.
set(feaug_package_dir ${CMAKE_INSTALL_DATADIR}/cmake/feaug)

install(DIRECTORY include/feaug TYPE INCLUDE FILES_MATCHING PATTERN "*.hpp")
install(DIRECTORY cuda/feaug TYPE INCLUDE FILES_MATCHING PATTERN "*.cuh")
install(FILES LICENSE TYPE DOC)
install(FILES src/instances.cpp DESTINATION ${feaug_package_dir})
set_target_properties(feaug_cuda PROPERTIES EXPORT_NAME cuda)
install(TARGETS feaug feaug_cuda EXPORT feaugTargets
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT feaugTargets NAMESPACE feaug:: DESTINATION ${feaug_package_dir})
# For a parent project that exports its own targets, which use feaug, from its build tree.
export(EXPORT feaugTargets NAMESPACE feaug:: FILE feaugTargets.cmake)

configure_package_config_file(cmake/feaugConfig.cmake.in feaugConfig.cmake
  INSTALL_DESTINATION ${feaug_package_dir}
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(feaugConfigVersion.cmake
  COMPATIBILITY SameMinorVersion
  ARCH_INDEPENDENT)
install(
  FILES
    ${CMAKE_CURRENT_BINARY_DIR}/feaugConfig.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/feaugConfigVersion.cmake
    cmake/FindRandom123.cmake
    cmake/instances.cmake
  DESTINATION ${feaug_package_dir})

configure_file(cmake/feaug.pc.in feaug.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/feaug.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
