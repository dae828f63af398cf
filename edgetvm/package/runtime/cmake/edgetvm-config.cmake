# find_package(edgetvm): the targets edgetvm::edgetvm (shared) and edgetvm::static.
get_filename_component(_edgetvm_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

if(NOT TARGET edgetvm::edgetvm)
  add_library(edgetvm::edgetvm SHARED IMPORTED)
  set_target_properties(edgetvm::edgetvm PROPERTIES
    IMPORTED_LOCATION "${_edgetvm_prefix}/lib/libedgetvm.so"
    IMPORTED_SONAME libedgetvm.so.1
    INTERFACE_INCLUDE_DIRECTORIES "${_edgetvm_prefix}/include")

  add_library(edgetvm::static STATIC IMPORTED)
  set_target_properties(edgetvm::static PROPERTIES
    IMPORTED_LOCATION "${_edgetvm_prefix}/lib/libedgetvm.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_edgetvm_prefix}/include"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;m")
endif()
unset(_edgetvm_prefix)
