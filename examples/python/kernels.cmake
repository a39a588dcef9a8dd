# The files here as objects, for the library of a Python package. Both packages compile them with the same flags, so that ccache shares them.
set(feaug_python_kernels ${CMAKE_CURRENT_LIST_DIR})

# TARGET LANGUAGE WERROR: the kernels for CPUs (CXX) or for GPUs (CUDA) as an object library. WERROR: whether warnings are errors. Those for
# GPUs need a folder of their own, since a source has one language per folder.
function(add_kernels target language werror)
  set(compiled_by_nvcc agreement.cpp augmentations.cpp contrast.cpp momentum.cpp queue.cpp)
  list(TRANSFORM compiled_by_nvcc PREPEND ${feaug_python_kernels}/)
  add_library(${target} OBJECT ${compiled_by_nvcc} ${feaug_python_kernels}/loss_signature.cpp)
  target_include_directories(${target} PUBLIC ${feaug_python_kernels})
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON POSITION_INDEPENDENT_CODE ON)
  # -O2 compiles a sixth faster than -O3 of Release; the code is as fast.
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:$<$<CONFIG:Release>:-O2> -Wall -Wextra -Wconversion -Wshadow -Wpedantic $<$<BOOL:${werror}>:-Werror>>
    $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wconversion,-Wshadow
    $<$<BOOL:${werror}>:-Xcompiler=-Werror> $<$<BOOL:${werror}>:-Werror=all-warnings>>)
  if(language STREQUAL "CXX")
    target_sources(${target} PRIVATE ${feaug_python_kernels}/installation.cpp)
    target_link_libraries(${target} PUBLIC feaug::feaug)
    return()
  endif()
  set_source_files_properties(${compiled_by_nvcc} PROPERTIES LANGUAGE CUDA)
  target_compile_definitions(${target} PUBLIC FEAUG_PYTHON_CUDA)
  target_link_libraries(${target} PUBLIC feaug::cuda feaug_cublas)
endfunction()
