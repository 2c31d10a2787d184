# ErlInterface::ei, the C library of Erlang's external term format.
# ERL_EI_INCLUDE_DIR and ERL_EI_LIBDIR (the names that elixir_make and Nerves
# set) win; otherwise the installed Erlang is asked.

if(NOT ERL_EI_INCLUDE_DIR AND DEFINED ENV{ERL_EI_INCLUDE_DIR})
  set(ERL_EI_INCLUDE_DIR $ENV{ERL_EI_INCLUDE_DIR})
  set(ERL_EI_LIBDIR $ENV{ERL_EI_LIBDIR})
endif()
if(NOT ERL_EI_INCLUDE_DIR)
  execute_process(
    COMMAND erl -noshell -noinput -eval
      "io:put_chars(code:lib_dir(erl_interface)), halt()."
    OUTPUT_VARIABLE ei_root OUTPUT_STRIP_TRAILING_WHITESPACE
    RESULT_VARIABLE ei_status)
  if(NOT ei_status EQUAL 0)
    message(FATAL_ERROR "erl was not found: install Erlang with its "
      "development files (Debian: erlang-base erlang-dev)")
  endif()
  set(ERL_EI_INCLUDE_DIR ${ei_root}/include)
  set(ERL_EI_LIBDIR ${ei_root}/lib)
endif()
find_library(EI_LIBRARY NAMES libei.a ei PATHS ${ERL_EI_LIBDIR}
  NO_DEFAULT_PATH REQUIRED)

find_package(Threads REQUIRED)
add_library(ErlInterface::ei INTERFACE IMPORTED)
set_target_properties(ErlInterface::ei PROPERTIES
  INTERFACE_INCLUDE_DIRECTORIES ${ERL_EI_INCLUDE_DIR}
  INTERFACE_LINK_LIBRARIES "${EI_LIBRARY};Threads::Threads")
