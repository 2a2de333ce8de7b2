# The host that a build is for, by one name whatever its kernel or its toolchain calls it, and the
# sources that are its own.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(GODWIT_HOST x86_64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(GODWIT_HOST aarch64)
else()
  set(GODWIT_HOST ${CMAKE_SYSTEM_PROCESSOR})
endif()

# Programs' structs go to the host's kernel as they are, so their byte order is the host's.
set(GODWIT_PROGRAMS ON)
if(CMAKE_C_BYTE_ORDER STREQUAL BIG_ENDIAN)
  set(GODWIT_PROGRAMS OFF)
endif()

# gw_host_source(VARIABLE BASE OTHERWISE): BASE_HOST.c of this folder, if this host has one; else what
# serves on any.
function(gw_host_source variable base otherwise)
  set(own ${base}_${GODWIT_HOST}.c)
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${own})
    set(own ${otherwise})
  endif()
  set(${variable} ${own} PARENT_SCOPE)
endfunction()
