/*
 * Any bytes as the payload of a frame, against a store that has a table of
 * each type: every request is answered or ends the session, and the store
 * stays sound.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/etf.h"
#include "port/commands.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bench {
    struct mem mem;
    struct store *store;
    struct writer writer;
    struct commands *commands;
};

/* A name that a fuzzer finds soon: the atom "p", "s", ... of its type. */
static void add_table(struct bench *bench, enum table_type type)
{
    const uint8_t term[] = {ETF_SMALL_ATOM_UTF8, 1, (uint8_t)('a' + type)};
    struct table_reference none[2] = {{0}};
    struct buffer name = BUFFER(&bench->mem);
    struct table *table;

    REQUIRE(key_encode(bytes_of(term, sizeof(term)), &name) == ST_OK);
    store_begin(bench->store);
    REQUIRE(store_table_create(bench->store, buffer_bytes(&name), type, none,
                               &table) == ST_OK);
    store_commit(bench->store);
    buffer_free(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_options options = {.memory_limit = 16 << 20};
    struct bench bench = {0};
    char why[200];

    mem_init(&bench.mem, 0);
    writer_init(&bench.writer, &bench.mem, 1 << 20);
    REQUIRE(store_create(&options, &bench.store) == ST_OK);
    REQUIRE(commands_create(bench.store, &bench.mem, &bench.writer,
                            &bench.commands) == ST_OK);
    for (int type = 0; type < TABLE_TYPE_COUNT; type++)
        add_table(&bench, (enum table_type)type);
    if (commands_open(bench.commands, bytes_of(data, size)) == ST_OK)
        while (commands_busy(bench.commands) &&
               commands_step(bench.commands) == ST_OK)
            ;
    if (!store_check(bench.store, why, sizeof(why))) {
        fprintf(stderr, "store_check: %s\n", why);
        abort();
    }
    commands_free(bench.commands);
    writer_deinit(&bench.writer);
    store_free(bench.store);
    REQUIRE(bench.mem.used == 0);
    return 0;
}
