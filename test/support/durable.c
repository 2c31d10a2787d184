/*
 * durable.c -- steps, the oracle, and a replay of their own.
 *
 * A mutation is the tuple {Kind, Table, Side, A, B} of three small integers
 * and two terms, as the log's external term. It is carried out by the same
 * function when it is new and when it is replayed: what is tested is the log,
 * not the commands. The order of things is the daemon's: carry it out, append
 * it, and only then commit.
 */
#include "support/durable.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/etf.h"
#include "core/key.h"
#include "log/walk.h"

#define TABLES 8
#define KEYS 24

enum kind {
    KIND_CREATE,
    KIND_INSERT,
    KIND_DELETE,
    KIND_DELETE_KEY,
    KIND_POM_INSERT,
    KIND_POM_UPDATE,
    KIND_CLEAR,
    KIND_DROP,
};

/* Table n has type n, but for the first two: others refer to the set. */
static const enum table_type table_types[TABLES] = {
    TABLE_SET,        TABLE_POM,         TABLE_TO_ONE,      TABLE_TO_MANY,
    TABLE_ONE_TO_ONE, TABLE_ONE_TO_MANY, TABLE_MANY_TO_ONE, TABLE_MANY_TO_MANY,
};

/* ---- failing ---- */

void durable_fail(const struct durable *d, const char *format, ...)
{
    const char *trace = getenv("TRACE");
    va_list arguments;
    char text[512];

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "the last calls:\n");
    sim_io_print_trace(d->sim, stderr, trace ? (unsigned)atoi(trace) : 60);
    fail_msg("SEED=%llu policy %d step %llu (%s): %s",
             (unsigned long long)d->seed, d->policy,
             (unsigned long long)d->steps, d->what ? d->what : "none", text);
}

uint64_t durable_scale(uint64_t count)
{
    const char *given = getenv("SCALE");
    double scale = given ? strtod(given, NULL) : 1;

#ifdef RHIZOME_SANITIZE
    scale /= 5;
#endif
    count = (uint64_t)((double)count * scale);
    return count ? count : 1;
}

/* ---- history ---- */

static void history_add(struct history *history, struct digest digest)
{
    uint64_t seq = ++history->last;

    if (seq >= history->capacity) {
        history->capacity = seq * 2;
        history->digests =
            realloc(history->digests, history->capacity * sizeof(digest));
        REQUIRE(history->digests);
    }
    history->digests[seq] = digest;
}

void history_copy(struct history *to, const struct history *from)
{
    size_t bytes = (from->last + 1) * sizeof(*from->digests);

    to->digests = malloc(bytes);
    REQUIRE(to->digests);
    memcpy(to->digests, from->digests, bytes);
    to->last = from->last;
    to->capacity = from->last + 1;
}

void history_free(struct history *history)
{
    free(history->digests);
    memset(history, 0, sizeof(*history));
}

/* ---- mutations ---- */

struct mutation {
    uint8_t bytes[8192];
    size_t size;
};

static void put_byte(struct mutation *m, uint8_t byte)
{
    m->bytes[m->size++] = byte;
}

static void put_small(struct mutation *m, unsigned n)
{
    put_byte(m, ETF_SMALL_INTEGER);
    put_byte(m, (uint8_t)n);
}

static void put_head(struct mutation *m, enum kind kind, unsigned table,
                     unsigned side)
{
    m->size = 0;
    put_byte(m, ETF_SMALL_TUPLE);
    put_byte(m, 5);
    put_small(m, kind);
    put_small(m, table);
    put_small(m, side);
}

static void put_binary(struct mutation *m, const char *text, size_t size)
{
    put_byte(m, ETF_BINARY);
    store_be32(m->bytes + m->size, (uint32_t)size);
    m->size += 4;
    memcpy(m->bytes + m->size, text, size);
    m->size += size;
}

static void put_key(struct mutation *m, unsigned n)
{
    char text[40];

    switch (n % 3) {
    case 0:
        put_small(m, n);
        break;
    case 1:
        snprintf(text, sizeof(text), "the key of number %u", n);
        put_binary(m, text, strlen(text));
        break;
    default:
        put_byte(m, ETF_SMALL_TUPLE);
        put_byte(m, 2);
        put_small(m, n);
        put_byte(m, ETF_NIL);
        break;
    }
}

static void put_value(struct mutation *m, struct random *random)
{
    static const size_t sizes[] = {0, 3, 20, 20, 100, 300, 1000, 6000};
    char text[6000];
    unsigned which = (unsigned)random_below(random, 8);
    size_t size;

    if (which == 7 && random_below(random, 8))
        which = 3;
    size = sizes[which];
    for (size_t i = 0; i < size; i++)
        text[i] = (char)random_next(random);
    put_binary(m, text, size);
}

/* ---- carrying them out ---- */

static enum status encode(struct walk *walk, struct buffer *key)
{
    return key_encode(walk_term(walk), key);
}

static enum status table_named(struct store *store, unsigned n,
                               struct buffer *name, struct table **ret)
{
    uint8_t term[] = {ETF_SMALL_INTEGER, (uint8_t)n};
    enum status st = key_encode(bytes_of(term, sizeof(term)), name);

    if (st == ST_OK)
        *ret = store_find(store, buffer_bytes(name));
    return st;
}

static enum status create(struct store *store, unsigned n, struct buffer *name)
{
    struct table_reference references[2] = {{NULL, 0}, {NULL, 0}};
    struct buffer other = BUFFER(name->mem);
    struct table *table;
    enum status st = table_named(store, 0, &other, &table);

    buffer_free(&other);
    if (n == 2 || n == 4 || n == 7)
        references[SIDE_FWD] = (struct table_reference){
            table, n == 4 ? ON_DELETE_RESTRICT : ON_DELETE_EVICT};
    if (n == 5 || n == 7)
        references[SIDE_BWD] = (struct table_reference){table, ON_DELETE_EVICT};
    if (st < 0)
        return st;
    return store_table_create(store, buffer_bytes(name), table_types[n],
                              references, &table);
}

struct operands {
    struct buffer name;
    struct buffer a;
    struct buffer b;
};

static enum status carry_out(struct store *store, struct bytes term,
                             struct operands *o)
{
    unsigned kind = term.data[3];
    unsigned n = term.data[5];
    enum side side = term.data[7] ? SIDE_BWD : SIDE_FWD;
    struct walk walk = {term.data + 8};
    struct bytes second;
    struct table *table = NULL;
    uint64_t count;
    bool done;
    enum status st = table_named(store, n, &o->name, &table);

    if (st < 0)
        return st;
    if (kind == KIND_CREATE)
        return table ? ST_TABLE_EXISTS : create(store, n, &o->name);
    if (!table)
        return ST_NO_TABLE;
    if (kind == KIND_CLEAR)
        return table_clear(store, table);
    if (kind == KIND_DROP)
        return store_table_drop(store, table);
    if (kind == KIND_POM_INSERT)
        return pom_insert(store, table, walk_term(&walk), &count);

    st = encode(&walk, &o->a);
    if (st == ST_OK && table_has_second(table))
        st = encode(&walk, &o->b);
    if (st < 0)
        return st;
    second = table_has_value(table) ? walk_term(&walk) : buffer_bytes(&o->b);
    switch (kind) {
    case KIND_INSERT:
        return table_insert(store, table, side, buffer_bytes(&o->a), second,
                            &done);
    case KIND_DELETE:
        return table_delete(store, table, side, buffer_bytes(&o->a), second,
                            &done);
    case KIND_DELETE_KEY:
        return table_delete_key(store, table, side, buffer_bytes(&o->a),
                                &count);
    case KIND_POM_UPDATE:
        return pom_update(store, table, buffer_bytes(&o->a), second);
    default:
        return ST_BAD_ARGUMENT;
    }
}

static enum status execute(struct store *store, struct bytes term)
{
    struct mem mem;
    struct operands o;
    enum status st;

    mem_init(&mem, 0);
    o.name = BUFFER(&mem);
    o.a = BUFFER(&mem);
    o.b = BUFFER(&mem);
    st = carry_out(store, term, &o);
    buffer_free(&o.name);
    buffer_free(&o.a);
    buffer_free(&o.b);
    return st;
}

enum status durable_apply(void *context, uint64_t seq, struct bytes term,
                          const char **ret_why)
{
    struct store *store = context;
    enum status st;
    size_t size;

    if (etf_validate(term, &size, NULL) < 0 || size != term.size || size < 10 ||
        term.data[0] != ETF_SMALL_TUPLE || term.data[1] != 5)
        return ST_BAD_TERM;
    store_begin(store);
    st = execute(store, term);
    if (st == ST_OK && !store_change_mark(store))
        st = ST_BAD_ARGUMENT;
    if (st < 0) {
        *ret_why = "the test's replay found it impossible";
        store_rollback(store);
        return st;
    }
    store_commit(store);
    return store_seq(store) == seq ? ST_OK : ST_BAD_ARGUMENT;
}

static unsigned roll(struct durable *d, unsigned bound)
{
    return (unsigned)random_below(&d->random, bound);
}

static void make_mutation(struct durable *d, struct mutation *m)
{
    unsigned die = roll(d, 1000);
    unsigned n = roll(d, TABLES);
    enum table_type type = table_types[n];
    bool is_junction = type >= TABLE_ONE_TO_ONE;
    bool is_pom = type == TABLE_POM;
    enum kind kind = die < 60    ? KIND_CREATE
                     : die < 700 ? KIND_INSERT
                     : die < 850 ? KIND_DELETE
                     : die < 980 ? KIND_DELETE_KEY
                     : die < 995 ? KIND_CLEAR
                                 : KIND_DROP;
    uint64_t first = roll(d, KEYS);

    if (n > 1 && roll(d, 4) == 0) /* more of what others refer to */
        n = 0, type = TABLE_SET, is_junction = false, is_pom = false;
    if (is_pom && kind == KIND_INSERT)
        kind = die < 450 ? KIND_POM_INSERT : KIND_POM_UPDATE;
    put_head(m, kind, n, is_junction && roll(d, 2));
    if (kind != KIND_POM_INSERT) {
        if (is_pom)
            put_small(m, (unsigned)first + 1);
        else
            put_key(m, (unsigned)first);
    }
    if (type == TABLE_POM || type == TABLE_TO_ONE)
        put_value(m, &d->random);
    else
        put_key(m, roll(d, KEYS));
    if (kind == KIND_POM_INSERT)
        put_byte(m, ETF_NIL);
}

static void note(struct durable *d)
{
    if (termlog_durable(d->log) > d->durable)
        d->durable = termlog_durable(d->log);
    if (termlog_written(d->log) > d->written)
        d->written = termlog_written(d->log);
    if (d->durable > d->written)
        d->written = d->durable;
}

/* One attempt: `*ret_done` if something has changed. */
static enum status mutate_once(struct durable *d, const struct mutation *m,
                               bool *ret_done)
{
    struct digest before = store_digest(d->store);
    uint64_t seq = store_seq(d->store) + 1;
    struct bytes term = bytes_of(m->bytes, m->size);
    enum status st;

    store_begin(d->store);
    st = execute(d->store, term);
    *ret_done = st == ST_OK && store_change_mark(d->store) > 0;
    if (!*ret_done) {
        store_rollback(d->store);
        return ST_OK;
    }
    st = termlog_append(d->log, seq, term);
    if (st < 0) {
        store_rollback(d->store);
        if (!digest_equal(before, store_digest(d->store)))
            durable_fail(d, "an append that failed has changed the store");
        if (termlog_appended(d->log) != seq - 1)
            durable_fail(d, "an append that failed has counted");
        return st;
    }
    store_commit(d->store);
    if (store_seq(d->store) != seq || termlog_appended(d->log) != seq)
        durable_fail(d, "the seqs of store and log differ");
    history_add(&d->history, store_digest(d->store));
    return ST_OK;
}

enum status durable_mutate(struct durable *d)
{
    struct mutation m;
    bool done = false;
    enum status st = ST_OK;

    while (st == ST_OK && !done) {
        make_mutation(d, &m);
        st = mutate_once(d, &m, &done);
    }
    return st;
}

/* ---- lifetime ---- */

void durable_init(struct durable *d, struct sim_io *sim, uint64_t seed,
                  enum sync_policy policy, uint64_t segment_bytes)
{
    struct store *store;

    memset(d, 0, sizeof(*d));
    d->sim = sim;
    d->seed = seed;
    d->policy = policy;
    d->segment_bytes = segment_bytes;
    random_init(&d->random, seed);
    mem_init(&d->mem, 0);
    REQUIRE(store_create(NULL, &store) == ST_OK);
    d->history.digests = calloc(2, sizeof(*d->history.digests));
    REQUIRE(d->history.digests);
    d->history.digests[0] = store_digest(store);
    d->history.capacity = 2;
    store_free(store);
}

void durable_deinit(struct durable *d)
{
    durable_abandon(d);
    history_free(&d->history);
}

void durable_abandon(struct durable *d)
{
    struct checkpoint_result result;

    if (d->checkpoint) {
        checkpoint_cancel(d->checkpoint);
        checkpoint_run(d->checkpoint);
        checkpoint_end(d->checkpoint, d->log, &result);
    }
    if (d->sync)
        termlog_sync_end(d->log, d->sync);
    termlog_free(d->log);
    recovery_free(&d->recovery);
    d->recovery.mem = NULL;
    if (d->store) {
        if (store_mem(d->store)->used != store_bytes(d->store))
            durable_fail(d, "a store leaks");
        store_free(d->store);
    }
    io_free(d->io);
    d->checkpoint = NULL;
    d->sync = NULL;
    d->log = NULL;
    d->store = NULL;
    d->io = NULL;
    if (d->mem.used)
        durable_fail(d, "%zu bytes have leaked", d->mem.used);
    if (sim_io_descriptors(d->sim))
        durable_fail(d, "%u descriptors have leaked",
                     sim_io_descriptors(d->sim));
}

/* What was recovered is the store as it was at some seq? */
static void hold_against_history(struct durable *d)
{
    uint64_t seq = d->recovery.seq;

    if (seq != store_seq(d->store))
        durable_fail(d, "recovery says seq %llu, the store %llu",
                     (unsigned long long)seq,
                     (unsigned long long)store_seq(d->store));
    if (seq > d->history.last ||
        !digest_equal(store_digest(d->store), d->history.digests[seq]))
        durable_fail(d, "what was recovered as seq %llu never was",
                     (unsigned long long)seq);
    /* Whatever was said before, this is what there is now. */
    d->history.last = seq;
    d->written = d->durable = seq;
}

/* Everything but what is to be freed if it fails. */
static enum status open_all(struct durable *d, uint64_t expect_seq)
{
    static const uint8_t store_id[STORE_ID_BYTES] = "durable.c's own";
    struct recovery_options options = {
        .apply = durable_apply,
        .context = d->store,
        .expect_seq = expect_seq,
        .settle = true,
        .until = UINT64_MAX,
    };
    int64_t holder;
    enum status st;

    d->error = -io_lock(d->io, &holder);
    if (d->error > 0)
        return ST_IO;
    st = recover_directory(d->io, d->store, &options, &d->mem, &d->recovery,
                           &d->error);
    if (st < 0)
        return st;
    if (d->recovery.verdict == RECOVERY_REFUSED)
        return ST_LOG_REFUSED;
    if (d->recovery.fresh)
        memcpy(d->recovery.manifest.store_id, store_id, STORE_ID_BYTES);
    st = recovery_mend(d->io, &d->recovery, &d->error);
    if (st < 0)
        return st;
    st = termlog_open(d->io, &d->mem, &d->recovery.manifest, d->recovery.seq,
                      d->segment_bytes, &d->log, &d->error);
    if (st == ST_OK) {
        hold_against_history(d);
        note(d);
    }
    return st;
}

enum status durable_open(struct durable *d, uint64_t expect_seq)
{
    struct recovery found;
    enum status st;

    REQUIRE(!d->io);
    d->what = "open";
    d->io = sim_io_open(d->sim);
    REQUIRE(store_create(NULL, &d->store) == ST_OK);
    memset(&d->recovery, 0, sizeof(d->recovery));
    st = open_all(d, expect_seq);
    if (st < 0) {
        found = d->recovery;
        durable_abandon(d);
        found.mem = NULL;
        found.manifest.segments = NULL;
        found.manifest.segment_count = 0;
        d->recovery = found;
    }
    return st;
}

enum status durable_close(struct durable *d)
{
    enum status st = ST_OK;

    if (d->checkpoint)
        st = durable_checkpoint_end(d);
    if (d->sync && st != ST_IO)
        st = durable_sync_end(d);
    if (st != ST_IO)
        st = termlog_close(d->log, store_digest(d->store));
    if (st == ST_OK)
        note(d);
    durable_abandon(d);
    return st;
}

/* ---- the pieces ---- */

enum status durable_sync_begin(struct durable *d)
{
    enum status st = ST_OK;

    if (!d->sync)
        st = termlog_sync_begin(d->log, &d->sync);
    if (st == ST_OK)
        note(d);
    return st;
}

enum status durable_sync_end(struct durable *d)
{
    enum status st;

    if (!d->sync)
        return ST_OK;
    termlog_sync_run(d->sync);
    st = termlog_sync_end(d->log, d->sync);
    d->sync = NULL;
    if (st == ST_OK)
        note(d);
    return st;
}

enum status durable_sync(struct durable *d)
{
    enum status st = durable_sync_end(d);

    if (st == ST_OK)
        st = durable_sync_begin(d);
    return st < 0 ? st : durable_sync_end(d);
}

enum status durable_write(struct durable *d)
{
    enum status st = termlog_write(d->log);

    if (st < 0)
        return st;
    note(d);
    if (d->policy == SYNC_ALWAYS && roll(d, 3))
        return durable_sync(d);
    return termlog_sync_due(d->log) ? durable_sync_begin(d) : ST_OK;
}

enum status durable_digest(struct durable *d)
{
    termlog_append_digest(d->log, store_digest(d->store));
    return termlog_write(d->log);
}

enum status durable_checkpoint_begin(struct durable *d)
{
    if (d->checkpoint)
        return ST_OK;
    return checkpoint_begin(d->store, d->log, &d->checkpoint);
}

enum status durable_checkpoint_end(struct durable *d)
{
    struct checkpoint_result result;
    enum status st;

    if (!d->checkpoint)
        return ST_OK;
    checkpoint_run(d->checkpoint);
    st = checkpoint_end(d->checkpoint, d->log, &result);
    d->checkpoint = NULL;
    d->checkpoints += st == ST_OK;
    /* It stays the checkpoint's own affair, unless the directory was not
     * synced: else the log goes on. */
    return st == ST_IO && !termlog_broken(d->log) ? ST_OK : st;
}

/* ---- steps ---- */

static enum status step_mutate(struct durable *d)
{
    unsigned count = 1 + roll(d, 4);
    enum status st = ST_OK;

    for (unsigned i = 0; st == ST_OK && i < count; i++)
        st = durable_mutate(d);
    return st == ST_IO ? st : durable_write(d);
}

static enum status step_restart(struct durable *d, bool orderly)
{
    uint64_t promised = d->drops ? d->durable : d->written;
    uint64_t expect = roll(d, 2) ? promised : 0;
    enum status st = ST_OK;

    if (orderly)
        st = durable_close(d);
    else
        durable_abandon(d);
    if (st == ST_OK)
        st = durable_open(d, expect);
    if (st == ST_LOG_REFUSED)
        durable_fail(d, "refused a directory that nothing has happened to: %s",
                     d->recovery.why);
    if (st == ST_OK && d->recovery.seq < promised)
        durable_fail(d, "recovered seq %llu, and %llu was promised",
                     (unsigned long long)d->recovery.seq,
                     (unsigned long long)promised);
    return st;
}

static enum status step_mark(struct durable *d)
{
    bool put = termlog_append_mark(d->log);

    return put ? termlog_write(d->log) : ST_OK;
}

enum status durable_step(struct durable *d)
{
    unsigned die = roll(d, 100);
    enum status st;

    d->steps++;
    if (die < 52) {
        d->what = "mutate";
        st = step_mutate(d);
    } else if (die < 66) {
        d->what = d->sync ? "end of a sync" : "begin of a sync";
        st = d->sync ? durable_sync_end(d) : durable_sync_begin(d);
    } else if (die < 70) {
        d->what = "sync";
        st = durable_sync(d);
    } else if (die < 75) {
        d->what = "mark";
        st = step_mark(d);
    } else if (die < 79) {
        d->what = "digest";
        st = durable_digest(d);
    } else if (die < 83) {
        d->what = "roll";
        st = termlog_roll(d->log);
    } else if (die < 94) {
        d->what = d->checkpoint ? "end of a checkpoint" : "checkpoint";
        st = d->no_checkpoints ? ST_OK
             : d->checkpoint   ? durable_checkpoint_end(d)
                               : durable_checkpoint_begin(d);
    } else if (die < 98) {
        d->what = "close and open";
        st = step_restart(d, true);
    } else {
        d->what = "die and open";
        st = d->orderly ? ST_OK : step_restart(d, false);
    }
    if (!d->log)
        return st < 0 ? st : ST_IO;
    /* Full, or without memory: nothing was done, and it goes on. */
    return st == ST_IO ? st : ST_OK;
}

enum status durable_run(struct durable *d, unsigned steps)
{
    enum status st = ST_OK;

    for (unsigned i = 0; st == ST_OK && i < steps; i++)
        st = durable_step(d);
    return st;
}
