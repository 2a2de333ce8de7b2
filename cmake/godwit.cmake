# How the rooms are built. A room is a static library that sees include/ and its own folder, and
# nothing else; whoever may compose rooms says so with USES. A forbidden #include does not compile.

set(GW_WARNINGS -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes
                -Wmissing-prototypes -Wvla -Wno-unused-parameter)

add_library(gw_options INTERFACE)
target_compile_options(gw_options INTERFACE ${GW_WARNINGS} -fno-strict-aliasing
                                            -fno-omit-frame-pointer)
target_compile_definitions(gw_options INTERFACE _GNU_SOURCE)
target_include_directories(gw_options INTERFACE ${PROJECT_SOURCE_DIR}/include)

# libFuzzer's eyes are in everything, so that a target links the rooms as they are.
if(GODWIT_FUZZERS)
  set(GODWIT_SANITIZE address,undefined)
  target_compile_options(gw_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(GODWIT_SANITIZE)
  string(REPLACE "," ";" _gw_san "${GODWIT_SANITIZE}")
  foreach(s IN LISTS _gw_san)
    target_compile_options(gw_options INTERFACE -fsanitize=${s} -fno-sanitize-recover=all)
    target_link_options(gw_options INTERFACE -fsanitize=${s})
  endforeach()
  # gcc says that TSan does not follow bare fences: it then may warn of too much, not of too little.
  if("thread" IN_LIST _gw_san AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(gw_options INTERFACE -Wno-tsan)
  endif()
endif()

# gw_room(NAME [IPO] SOURCES a.c ... [USES room ...] [LIBS lib ...])
# IPO: worth optimising across files.
# USES makes another room's public headers and code visible; only composing rooms may pass it.
function(gw_room name)
  cmake_parse_arguments(R "IPO" "" "SOURCES;USES;LIBS" ${ARGN})
  add_library(gw_${name} STATIC ${R_SOURCES})
  set_target_properties(gw_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  if(R_IPO AND GODWIT_IPO)
    # Both kinds of code: what is not worth the time (tests) links the plain one.
    target_compile_options(gw_${name} PRIVATE -flto=auto -ffat-lto-objects)
  endif()
  target_include_directories(gw_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}
                                                ${CMAKE_CURRENT_BINARY_DIR})
  target_link_libraries(gw_${name} PUBLIC gw_options)
  foreach(u IN LISTS R_USES)
    target_link_libraries(gw_${name} PUBLIC gw_${u})
    get_target_property(_src gw_${u} SOURCE_DIR)
    get_target_property(_bin gw_${u} BINARY_DIR)
    target_include_directories(gw_${name} PRIVATE ${_src} ${_bin})
    add_dependencies(gw_${name} gw_${u})
  endforeach()
  if(R_LIBS)
    target_link_libraries(gw_${name} PUBLIC ${R_LIBS})
  endif()
endfunction()

# gw_test(NAME SOURCES t.c ... USES room ... [LIBS lib ...] [ARGS ...] [TIMEOUT s])
function(gw_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;USES;LIBS;ARGS" ${ARGN})
  add_executable(test_${name} ${T_SOURCES})
  target_include_directories(test_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}
                                                  ${PROJECT_SOURCE_DIR}/tests)
  foreach(u IN LISTS T_USES)
    target_link_libraries(test_${name} PRIVATE gw_${u})
    get_target_property(_src gw_${u} SOURCE_DIR)
    get_target_property(_bin gw_${u} BINARY_DIR)
    target_include_directories(test_${name} PRIVATE ${_src} ${_bin})
    add_dependencies(test_${name} gw_${u})
  endforeach()
  target_link_libraries(test_${name} PRIVATE gw_options cmocka ${T_LIBS})
  if(GODWIT_IPO)
    target_link_options(test_${name} PRIVATE -fno-lto)
  endif()
  add_test(NAME ${name} COMMAND test_${name} ${T_ARGS})
  if(T_TIMEOUT)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT})
  endif()
endfunction()

add_custom_target(fuzzers)

# gw_fuzzer(NAME SOURCES t.c ... USES room ... [LIBS lib ...] [INCLUDES dir ...]): a fuzz target. With
# clang and GODWIT_FUZZERS libFuzzer makes its inputs, and the test runs for GODWIT_FUZZ_SECONDS;
# otherwise a program of our own makes random ones, for two seconds.
function(gw_fuzzer name)
  cmake_parse_arguments(F "" "" "SOURCES;USES;LIBS;INCLUDES" ${ARGN})
  set(program godwit-fuzz-${name})
  add_executable(${program} ${F_SOURCES})
  add_dependencies(fuzzers ${program})
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  target_include_directories(${program} PRIVATE ${PROJECT_SOURCE_DIR}/tests ${F_INCLUDES})
  foreach(u IN LISTS F_USES)
    get_target_property(_src gw_${u} SOURCE_DIR)
    get_target_property(_bin gw_${u} BINARY_DIR)
    target_include_directories(${program} PRIVATE ${_src} ${_bin})
    target_link_libraries(${program} PRIVATE gw_${u})
  endforeach()
  target_link_libraries(${program} PRIVATE gw_options ${F_LIBS})
  if(GODWIT_IPO)
    target_link_options(${program} PRIVATE -fno-lto)
  endif()
  string(REPLACE - _ test fuzz_${name})
  if(GODWIT_FUZZERS)
    target_link_options(${program} PRIVATE -fsanitize=fuzzer)
    add_test(NAME ${test} COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tests/run_fuzzer.py
                                  $<TARGET_FILE:${program}>)
  else()
    target_sources(${program} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz_main.c)
    add_test(NAME ${test} COMMAND ${program} 2)
  endif()
  set_tests_properties(${test} PROPERTIES LABELS "fuzz;fuzzer" TIMEOUT 600)
endfunction()
