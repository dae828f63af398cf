# find_package(edgetvm): edgetvm::edgetvm, shared where there is a shared library, and
# edgetvm::static where there is a static one.
include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)

get_filename_component(_edgetvm_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET edgetvm::edgetvm)
  if(EXISTS "${_edgetvm_prefix}/lib/libedgetvm.a")
    add_library(edgetvm::static STATIC IMPORTED)
    set_target_properties(edgetvm::static PROPERTIES
      IMPORTED_LOCATION "${_edgetvm_prefix}/lib/libedgetvm.a"
      INTERFACE_INCLUDE_DIRECTORIES "${_edgetvm_prefix}/include"
      INTERFACE_LINK_LIBRARIES "Threads::Threads;m")
  endif()
  if(EXISTS "${_edgetvm_prefix}/lib/libedgetvm.so")
    add_library(edgetvm::edgetvm SHARED IMPORTED)
    set_target_properties(edgetvm::edgetvm PROPERTIES
      IMPORTED_LOCATION "${_edgetvm_prefix}/lib/libedgetvm.so"
      IMPORTED_SONAME libedgetvm.so.1
      INTERFACE_INCLUDE_DIRECTORIES "${_edgetvm_prefix}/include")
  else()
    add_library(edgetvm::edgetvm INTERFACE IMPORTED)
    set_property(TARGET edgetvm::edgetvm PROPERTY INTERFACE_LINK_LIBRARIES edgetvm::static)
  endif()
endif()
unset(_edgetvm_prefix)
