# The order of encoded keys, judged by the BEAM: key_filter encodes what
# key_order.exs makes up.

find_program(ELIXIR elixir)

add_executable(key_filter ${CMAKE_CURRENT_LIST_DIR}/key_filter.c)
target_link_libraries(key_filter PRIVATE rhizome_core)

if(ELIXIR)
  add_test(NAME key_order
    COMMAND ${ELIXIR} ${CMAKE_CURRENT_LIST_DIR}/key_order.exs)
  set_tests_properties(key_order PROPERTIES LABELS "core;beam" TIMEOUT 300
    ENVIRONMENT "KEY_FILTER=$<TARGET_FILE:key_filter>")
endif()
