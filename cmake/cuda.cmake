# nvcc, the CUDA toolkit and cuBLAS for tests and benchmarks. feaug::cuda itself needs none of this: it is header-only.

# Machine code for sm_80 and sm_90, for whose tensor cores the kernels are written, and PTX for later GPUs.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
endif()
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  # CMake 3.25.1 does not know that nvcc supports C++20.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
endif()
if(NOT PROJECT_NAME STREQUAL feaug)
  # The frameworks of the examples are in this checkout. ccache does not know CMake's -isystem=FOLDER, so it would keep that path, and other
  # checkouts could not use the objects.
  set(CMAKE_INCLUDE_SYSTEM_FLAG_CUDA "-isystem ")
endif()
find_package(CUDAToolkit 12 REQUIRED)

# cuBLAS, if there is one: first that of the toolkit, then that of PyTorch's Python packages. Their `nvidia`
# folder has a folder with include/ and lib/ for each library.
set(FEAUG_CUBLAS_ROOT "" CACHE PATH "A folder whose include and lib have cuBLAS; empty: looked for")
add_library(feaug_cublas INTERFACE)
find_file(toolkit_cublas cublas_v2.h PATHS ${CUDAToolkit_INCLUDE_DIRS} NO_DEFAULT_PATH NO_CACHE)
if(TARGET CUDA::cublas AND toolkit_cublas AND NOT FEAUG_CUBLAS_ROOT)
  message(STATUS "feaug: cuBLAS of the toolkit")
  target_link_libraries(feaug_cublas INTERFACE CUDA::cublas)
  return()
endif()

if(NOT FEAUG_CUBLAS_ROOT)
  execute_process(
    COMMAND python3 -c "import nvidia; print(';'.join(nvidia.__path__))"
    OUTPUT_VARIABLE packages OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  list(TRANSFORM packages APPEND "/*/include/cublas_v2.h")
  file(GLOB headers ${packages})
  if(headers)
    list(GET headers 0 header)
    cmake_path(GET header PARENT_PATH include)
    cmake_path(GET include PARENT_PATH root)
    # Cached, because another shell may use another Python.
    set_property(CACHE FEAUG_CUBLAS_ROOT PROPERTY VALUE ${root})
  endif()
endif()
# The Python packages have no libcublas.so, only the versioned name, such as libcublas.so.13.
file(GLOB cublas_libraries ${FEAUG_CUBLAS_ROOT}/lib/libcublas.so* ${FEAUG_CUBLAS_ROOT}/lib/libcublasLt.so*)
if(FEAUG_CUBLAS_ROOT AND cublas_libraries)
  message(STATUS "feaug: cuBLAS of ${FEAUG_CUBLAS_ROOT}")
  target_include_directories(feaug_cublas SYSTEM INTERFACE ${FEAUG_CUBLAS_ROOT}/include)
  target_link_libraries(feaug_cublas INTERFACE ${cublas_libraries})
else()
  message(STATUS "feaug: no cuBLAS, products by feaug's own kernel")
  target_compile_definitions(feaug_cublas INTERFACE FEAUG_NO_CUBLAS)
endif()
