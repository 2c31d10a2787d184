# rhizome_libuv, rhizome_libdeflate, rhizome_zlib, rhizome_expat and
# rhizome_static: how the daemon is linked.
#
# A static daemon starts a fifth faster (no loader, no relocations of libuv)
# and runs in any image that it is copied to, such as a release without libuv.
# It needs libuv's archive, which Debian ships under a name of its own,
# libdeflate's, zlib's, Expat's and the C library's; where one is missing, and
# under sanitizers, it is linked as usual.

include(CheckLinkerFlag)

add_library(rhizome_libuv INTERFACE)
add_library(rhizome_libdeflate INTERFACE)
add_library(rhizome_zlib INTERFACE)
add_library(rhizome_expat INTERFACE)
add_library(rhizome_static INTERFACE)

find_library(LIBUV_ARCHIVE NAMES libuv_a.a libuv.a
  HINTS ${LIBUV_LIBRARY_DIRS})
find_library(LIBDEFLATE_ARCHIVE NAMES libdeflate.a
  HINTS ${LIBDEFLATE_LIBRARY_DIRS})
find_library(ZLIB_ARCHIVE NAMES libz.a HINTS ${ZLIB_LIBRARY_DIRS})
find_library(EXPAT_ARCHIVE NAMES libexpat.a HINTS ${EXPAT_LIBRARY_DIRS})
if(STATIC AND NOT SANITIZE AND LIBUV_ARCHIVE AND LIBDEFLATE_ARCHIVE
    AND ZLIB_ARCHIVE AND EXPAT_ARCHIVE)
  check_linker_flag(C -static-pie STATIC_PIE_WORKS)
endif()

if(STATIC_PIE_WORKS AND NOT SANITIZE)
  find_package(Threads REQUIRED)
  target_include_directories(rhizome_libuv INTERFACE ${LIBUV_INCLUDE_DIRS})
  target_link_libraries(rhizome_libuv INTERFACE
    ${LIBUV_ARCHIVE} Threads::Threads ${CMAKE_DL_LIBS} rt)
  target_include_directories(rhizome_libdeflate INTERFACE ${LIBDEFLATE_INCLUDE_DIRS})
  target_link_libraries(rhizome_libdeflate INTERFACE ${LIBDEFLATE_ARCHIVE})
  target_include_directories(rhizome_zlib INTERFACE ${ZLIB_INCLUDE_DIRS})
  target_link_libraries(rhizome_zlib INTERFACE ${ZLIB_ARCHIVE})
  target_include_directories(rhizome_expat INTERFACE ${EXPAT_INCLUDE_DIRS})
  target_link_libraries(rhizome_expat INTERFACE ${EXPAT_ARCHIVE} m)
  target_link_options(rhizome_static INTERFACE -static-pie)
  # libuv can look users up, which a static program could not; we never do.
  check_linker_flag(C -Wl,--no-warnings LINKER_CAN_BE_QUIET)
  if(LINKER_CAN_BE_QUIET)
    target_link_options(rhizome_static INTERFACE -Wl,--no-warnings)
  endif()
else()
  target_link_libraries(rhizome_libuv INTERFACE PkgConfig::LIBUV)
  target_link_libraries(rhizome_libdeflate INTERFACE PkgConfig::LIBDEFLATE)
  target_link_libraries(rhizome_zlib INTERFACE PkgConfig::ZLIB)
  target_link_libraries(rhizome_expat INTERFACE PkgConfig::EXPAT)
endif()
