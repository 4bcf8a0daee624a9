# The target libfdt: the one library that freestanding code may use, for device trees. Hosted builds
# have the system's; the AArch64 image has Debian's arm64 archive, which ./dev build unpacks (ci/libfdt.py).
add_library(libfdt INTERFACE)
if(HC_TARGET STREQUAL "hosted")
  find_path(HC_LIBFDT_INCLUDE libfdt.h)
  find_library(HC_LIBFDT fdt)
  if(NOT HC_LIBFDT OR NOT HC_LIBFDT_INCLUDE)
    message(FATAL_ERROR "libfdt not found (Debian: libfdt-dev)")
  endif()
  target_include_directories(libfdt SYSTEM INTERFACE ${HC_LIBFDT_INCLUDE})
  target_link_libraries(libfdt INTERFACE ${HC_LIBFDT})
elseif(HC_TARGET STREQUAL "board-aarch64")
  set(HC_LIBFDT_ROOT ${CMAKE_SOURCE_DIR}/build/libfdt-arm64 CACHE PATH "where libfdt for arm64 is")
  if(NOT EXISTS ${HC_LIBFDT_ROOT}/libfdt.a)
    message(FATAL_ERROR "${HC_LIBFDT_ROOT}/libfdt.a is not there: ./dev build board-aarch64 fetches it")
  endif()
  # Its environment header wants a libc: ours comes first.
  target_include_directories(libfdt SYSTEM INTERFACE ${CMAKE_SOURCE_DIR}/platform/board/libfdt
    ${HC_LIBFDT_ROOT})
  target_link_libraries(libfdt INTERFACE ${HC_LIBFDT_ROOT}/libfdt.a)
endif()
