# The flags every target shares, and the functions that the folders' lists call.

set(HC_WARNINGS
  -Wall -Wextra -Werror -Wconversion -Wsign-conversion -Wcast-qual -Wswitch-default -Wvla
  -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wwrite-strings
  -Wformat=2 -Wimplicit-fallthrough -Wno-unused-parameter)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
  # Clang does not know that a C file's address constructors are meant to be unused.
  list(APPEND HC_WARNINGS -Wno-gnu-empty-struct)
endif()

# Freestanding: no libc beyond mem*/str*, no floating point (vector registers belong to the guest).
set(HC_FREESTANDING -ffreestanding -fno-strict-aliasing -fno-common -fwrapv)
set(HC_BOARD_x86_64 -m64 -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-pic -fno-pie
  -ffunction-sections -fdata-sections
  -fno-asynchronous-unwind-tables -fstack-protector-strong -mstack-protector-guard=global)
set(HC_BOARD_aarch64 -mgeneral-regs-only -mstrict-align -mno-outline-atomics -fno-pic -fno-pie
  -fstack-protector -mstack-protector-guard=global
  -fno-asynchronous-unwind-tables)

set(HC_COMMON)
if(HC_TARGET MATCHES "^board-(.*)$")
  list(APPEND HC_COMMON ${HC_BOARD_${CMAKE_MATCH_1}})
endif()
if(HC_SANITIZE)
  list(APPEND HC_COMMON -fsanitize=address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()
if(HC_COVERAGE)
  list(APPEND HC_COMMON --coverage)
  add_link_options(--coverage)
endif()

# hc_library(name source...): freestanding code, part of the hypervisor. The objects of all
# libraries go into every product.
function(hc_library name)
  add_library(${name} STATIC ${ARGN})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${HC_COMMON}
    $<$<COMPILE_LANGUAGE:C>:${HC_WARNINGS} ${HC_FREESTANDING}>)
  set_property(GLOBAL APPEND PROPERTY HC_LIBRARIES ${name})
endfunction()

# hc_hosted_executable(name source...): a program for the build machine (tests, benchmarks).
function(hc_hosted_executable name)
  add_executable(${name} ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${HC_COMMON} $<$<COMPILE_LANGUAGE:C>:${HC_WARNINGS}>)
endfunction()

# hc_unit_test(name SOURCES source... LIBS library...): one CMocka program, run by ctest.
function(hc_unit_test name)
  cmake_parse_arguments(T "" "" "SOURCES;LIBS" ${ARGN})
  hc_hosted_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE ${T_LIBS} cmocka)
  add_test(NAME ${name} COMMAND ${name})
endfunction()
