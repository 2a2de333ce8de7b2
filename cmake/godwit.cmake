# How the rooms are built. A room is a static library that sees include/ and its own folder, and
# nothing else; whoever may compose rooms says so with USES. Includes are by path from the root, and a
# forbidden one does not compile: a target's only other search path is a folder of links, made for it,
# to what it may see.

set(GW_WARNINGS -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes
                -Wmissing-prototypes -Wvla -Wno-unused-parameter)

add_library(gw_options INTERFACE)
target_compile_options(gw_options INTERFACE ${GW_WARNINGS} -fno-strict-aliasing)
if(NOT GODWIT_IPO) # sanitizers and clang's builds say who called; others have a register more
  target_compile_options(gw_options INTERFACE -fno-omit-frame-pointer)
endif()
target_compile_definitions(gw_options INTERFACE _GNU_SOURCE)
target_include_directories(gw_options INTERFACE ${PROJECT_SOURCE_DIR}/include)

# Programs start quickly and small: without what nobody calls, and with relocations of pointers in tables as
# bits (glibc 2.36), where the linker knows of that.
if(NOT GODWIT_SANITIZE AND NOT GODWIT_FUZZERS)
  include(CheckLinkerFlag)
  # with --fatal-warnings, since some linkers ignore what they do not know
  check_linker_flag(C -Wl,--fatal-warnings,-z,pack-relative-relocs GODWIT_PACKS_RELOCS)
  target_compile_options(gw_options INTERFACE -ffunction-sections -fdata-sections)
  target_link_options(gw_options INTERFACE -Wl,--gc-sections)
  if(GODWIT_PACKS_RELOCS)
    target_link_options(gw_options INTERFACE -Wl,-z,pack-relative-relocs)
  endif()
endif()

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

# gw_see(TARGET PATH...): the target may include the header PATH, or what lies in the folder PATH.
function(gw_see target)
  set(see ${PROJECT_BINARY_DIR}/see/${target})
  get_target_property(known ${target} GW_SEES)
  if(NOT known)
    file(REMOVE_RECURSE ${see})
    file(MAKE_DIRECTORY ${see})
    target_include_directories(${target} PRIVATE ${see})
    set(known)
  endif()
  foreach(path IN LISTS ARGN)
    if(path IN_LIST known)
      continue()
    endif()
    list(APPEND known ${path})
    get_filename_component(parent ${see}/${path} DIRECTORY)
    file(MAKE_DIRECTORY ${parent})
    file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${path} ${see}/${path} SYMBOLIC)
  endforeach()
  set_target_properties(${target} PROPERTIES GW_SEES "${known}")
endfunction()

# gw_use(TARGET ROOM...): the target sees what the rooms show and what is generated in them, and is
# linked with them. Where GW_USE_INSIDE is set, as it is for tests, it sees all that is theirs.
function(gw_use target)
  foreach(room IN LISTS ARGN)
    if(GW_USE_INSIDE)
      get_target_property(shows gw_${room} GW_OWN)
    else()
      get_target_property(shows gw_${room} GW_SHOWS)
    endif()
    get_target_property(made gw_${room} GW_MADE)
    gw_see(${target} ${shows})
    target_include_directories(${target} PRIVATE ${made})
    target_link_libraries(${target} ${GW_USE_SCOPE} gw_${room})
    add_dependencies(${target} gw_${room})
  endforeach()
endfunction()

# gw_made(VARIABLE): the folder for what is generated in this one; included by the same path.
function(gw_made variable)
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  set(made ${CMAKE_CURRENT_BINARY_DIR}/made/${folder})
  file(MAKE_DIRECTORY ${made})
  set(${variable} ${made} PARENT_SCOPE)
endfunction()

# gw_room(NAME [IPO] SOURCES a.c ... [USES room ...] [SEES path ...] [OWN path ...] [SHOWS path ...]
#         [LIBS lib ...])
# IPO: worth optimising across files.
# USES makes another room's headers and code visible; only composing rooms may pass it. SEES: headers
# of rooms that it is not linked with. OWN: its headers, if they are not all that lie in its folder.
# SHOWS: what others see of it, if that is not all of its own.
function(gw_room name)
  cmake_parse_arguments(R "IPO" "" "SOURCES;USES;SEES;OWN;SHOWS;LIBS" ${ARGN})
  add_library(gw_${name} STATIC ${R_SOURCES})
  set_target_properties(gw_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  if(R_IPO AND GODWIT_IPO)
    # Both kinds of code: what is not worth the time (tests) links the plain one.
    target_compile_options(gw_${name} PRIVATE -flto=auto -ffat-lto-objects)
  endif()
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  if(NOT R_OWN)
    set(R_OWN ${folder})
  endif()
  if(NOT R_SHOWS)
    set(R_SHOWS ${R_OWN})
  endif()
  set_target_properties(gw_${name} PROPERTIES GW_OWN "${R_OWN}"
                                              GW_SHOWS "${R_SHOWS}"
                                              GW_MADE ${CMAKE_CURRENT_BINARY_DIR}/made)
  gw_see(gw_${name} ${R_OWN} ${R_SEES})
  target_include_directories(gw_${name} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/made)
  target_link_libraries(gw_${name} PUBLIC gw_options)
  set(GW_USE_SCOPE PUBLIC)
  gw_use(gw_${name} ${R_USES})
  if(R_LIBS)
    target_link_libraries(gw_${name} PUBLIC ${R_LIBS})
  endif()
endfunction()

# gw_program(TARGET [USES room ...] [SEES path ...] [LIBS lib ...]): what an executable or a module is
# made of.
function(gw_program target)
  cmake_parse_arguments(P "" "" "USES;SEES;LIBS" ${ARGN})
  gw_see(${target} ${P_SEES})
  set(GW_USE_SCOPE PRIVATE)
  gw_use(${target} ${P_USES})
  target_link_libraries(${target} PRIVATE gw_options ${P_LIBS})
endfunction()

# gw_test(NAME SOURCES t.c ... USES room ... [SEES path ...] [LIBS lib ...] [ARGS ...] [TIMEOUT s])
function(gw_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;USES;SEES;LIBS;ARGS" ${ARGN})
  add_executable(test_${name} ${T_SOURCES})
  gw_program(test_${name} USES ${T_USES} SEES tests ${T_SEES} LIBS cmocka ${T_LIBS})
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
  target_include_directories(${program} PRIVATE ${F_INCLUDES})
  gw_program(${program} USES ${F_USES} SEES tests LIBS ${F_LIBS})
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
