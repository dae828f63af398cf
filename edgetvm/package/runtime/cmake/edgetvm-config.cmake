# find_package(edgetvm), then target_link_libraries(mine edgetvm::edgetvm).
include(CMakeFindDependencyMacro)
find_dependency(Threads)

get_filename_component(_edgetvm_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET edgetvm::edgetvm)
  add_library(edgetvm::edgetvm UNKNOWN IMPORTED)
  set_target_properties(edgetvm::edgetvm PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${_edgetvm_prefix}/include"
    INTERFACE_LINK_LIBRARIES "m;Threads::Threads")
  if(EXISTS "${_edgetvm_prefix}/lib/libedgetvm.so")
    set_property(TARGET edgetvm::edgetvm PROPERTY
      IMPORTED_LOCATION "${_edgetvm_prefix}/lib/libedgetvm.so")
  else()
    set_property(TARGET edgetvm::edgetvm PROPERTY
      IMPORTED_LOCATION "${_edgetvm_prefix}/lib/libedgetvm.a")
  endif()
endif()
unset(_edgetvm_prefix)
