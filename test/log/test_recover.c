/*
 * test_recover.c -- damage of every kind, at every place, and what recovery
 * says of it.
 *
 * A specimen is the directory of a store that has lived for a while: a
 * manifest, a checkpoint, several segments. A map of its records (file,
 * offset, seq, what each claims to be durable) is made from the undamaged
 * files. From it follows what recovery has to answer when some byte is not
 * what it was: the state before the record that the byte is in, or a refusal
 * that names the file and the offset of that record. `predict_*` says it, in
 * terms of the map alone; the code under test must say the same.
 *
 * Damage that is wider than a record (sectors, whole files) has a weaker
 * oracle: whatever was recovered is the state of some seq, and nothing is
 * lost that an intact record or the manifest claims to be durable.
 *
 * SEED=n replays a failure; SCALE=10 damages ten times as many specimens.
 */
#include "log/recover.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "core/etf.h"
#include "log/reader.h"

#include "support/durable.h"

#define FILES_MAX 24
#define RECORDS_MAX 400

/* What must never happen to a directory that is only read. */
static const uint32_t changing_calls =
    SIM_KIND(SIM_PWRITE) | SIM_KIND(SIM_ALLOCATE) | SIM_KIND(SIM_TRUNCATE) |
    SIM_KIND(SIM_RENAME) | SIM_KIND(SIM_UNLINK) | SIM_KIND(SIM_MAKE_DIRECTORY);

static uint64_t recoveries;

struct mapped {
    uint64_t offset;
    uint64_t end;
    uint64_t seq;
    uint64_t durable;
    uint8_t type;
};

struct file {
    char name[FILE_NAME_BYTES];
    enum file_kind kind;
    uint8_t *data;
    size_t size;
    uint64_t first_seq;
    bool listed;
    struct mapped *records; /* of a segment */
    unsigned count;
};

struct specimen {
    struct durable d; /* shut; its history is the oracle */
    struct sim_io *sim;
    struct manifest manifest;
    struct file files[FILES_MAX]; /* segments last, in order */
    unsigned count;
    unsigned segments; /* index of the first */
    uint64_t last;     /* the seq that all of it leads to */
};

/* What recovery is to answer. */
struct answer {
    enum recovery_verdict verdict;
    uint64_t seq;
    const char *file; /* unless OK */
    uint64_t offset;
    uint64_t missing; /* up to which seq, or 0 */
};

/* ---- specimens ---- */

static void add_file(void *context, const char *name)
{
    struct specimen *s = context;
    struct file *file = &s->files[s->count];
    struct bytes bytes = sim_io_file(s->sim, name);
    uint64_t seq;

    if (segment_name_parse(name, &seq))
        file->kind = FILE_LOG;
    else if (checkpoint_name_parse(name, &seq))
        file->kind = FILE_CHECKPOINT;
    else if (strcmp(name, MANIFEST_NAME) == 0)
        file->kind = FILE_MANIFEST;
    else
        return;
    assert_true(s->count < FILES_MAX);
    snprintf(file->name, sizeof(file->name), "%s", name);
    file->first_seq = file->kind == FILE_LOG ? seq : 0;
    file->data = malloc(bytes.size + 1);
    file->size = bytes.size;
    memcpy(file->data, bytes.data, bytes.size);
    s->count++;
}

static int by_first_seq(const void *a, const void *b)
{
    const struct file *x = a;
    const struct file *y = b;

    return (x->first_seq > y->first_seq) - (x->first_seq < y->first_seq);
}

static void map_records(struct specimen *s, struct io *io, struct file *file)
{
    struct log_reader *reader;
    struct record record;
    struct mem mem;
    int error;

    for (unsigned i = 0; i < s->manifest.segment_count; i++)
        file->listed |= s->manifest.segments[i] == file->first_seq;
    file->records = calloc(RECORDS_MAX, sizeof(*file->records));
    mem_init(&mem, 0);
    assert_int_equal(log_reader_open(io, file->name, &mem, &reader, &error), 0);
    while (log_reader_next(reader, &record) == LOG_RECORD) {
        assert_true(file->count < RECORDS_MAX);
        file->records[file->count++] =
            (struct mapped){record.offset, log_reader_offset(reader),
                            record.seq, record.durable, record.type};
    }
    log_reader_close(reader);
}

/* `orderly`: it ends with a close record; else with what nobody has synced. */
static bool specimen_make(struct specimen *s, uint64_t seed, bool orderly)
{
    struct sim_io *sim = sim_io_create();
    struct mem mem;
    struct io *io;
    const char *why;
    uint64_t offset;
    int error;

    memset(s, 0, sizeof(*s));
    durable_init(&s->d, sim, seed, (enum sync_policy)(seed % 3), 2500);
    s->d.orderly = true;
    assert_int_equal(durable_open(&s->d, 0), ST_OK);
    assert_int_equal(durable_run(&s->d, 40), ST_OK);
    s->d.no_checkpoints = true;
    assert_int_equal(durable_run(&s->d, 25), ST_OK);
    if (orderly) {
        assert_int_equal(durable_mutate(&s->d), ST_OK);
        assert_int_equal(durable_close(&s->d), ST_OK);
    } else {
        assert_int_equal(durable_sync(&s->d), ST_OK);
        termlog_append_mark(s->d.log);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(durable_mutate(&s->d), ST_OK);
        assert_int_equal(termlog_write(s->d.log), ST_OK);
        durable_abandon(&s->d);
    }
    s->last = s->d.history.last;
    s->sim = sim_io_power_cut(sim, NULL, SIM_POWER_NEW);
    s->d.sim = s->sim;
    sim_io_free(sim);

    mem_init(&mem, 0);
    io = sim_io_open(s->sim);
    assert_int_equal(
        manifest_read(io, &mem, &s->manifest, &why, &offset, &error), ST_OK);
    sim_io_each_name(s->sim, add_file, s);
    qsort(s->files, s->count, sizeof(s->files[0]), by_first_seq);
    for (s->segments = 0; s->files[s->segments].kind != FILE_LOG;)
        s->segments++;
    for (unsigned i = s->segments; i < s->count; i++)
        map_records(s, io, &s->files[i]);
    manifest_free(&s->manifest, &mem);
    io_free(io);
    return s->segments == 2 && s->count - s->segments >= 3;
}

static void specimen_free(struct specimen *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        free(s->files[i].data);
        free(s->files[i].records);
    }
    durable_deinit(&s->d);
    sim_io_free(s->sim);
}

/* The next one that has a checkpoint and three segments or more. */
static void specimen_next(struct specimen *s, uint64_t *seed)
{
    const char *given = getenv("SEED");

    if (given)
        *seed = strtoull(given, NULL, 10);
    while (!specimen_make(s, *seed, *seed % 2)) {
        specimen_free(s);
        ++*seed;
    }
}

/* ---- recovering ---- */

static bool same_directories(struct sim_io *a, struct sim_io *b);
static bool all_durable(struct sim_io *sim);

/* Recovers, without changing anything, into `*ret`; `expect` as always. */
static void look(struct specimen *s, struct sim_io *sim, uint64_t expect,
                 bool settle, struct recovery *ret)
{
    struct recovery_options options = {
        .apply = durable_apply,
        .expect_seq = expect,
        .settle = settle,
        .until = UINT64_MAX,
    };
    struct io *io = sim_io_open(sim);
    uint64_t changes = sim_io_calls(sim, changing_calls);
    struct store *store;
    struct mem mem;
    enum status st;
    int error;

    recoveries++;
    mem_init(&mem, 0);
    assert_int_equal(store_create(NULL, &store), ST_OK);
    options.context = store;
    st = recover_directory(io, store, &options, &mem, ret, &error);
    if (st != ST_OK)
        durable_fail(&s->d, "recovery gives %d", st);
    if (sim_io_calls(sim, changing_calls) != changes)
        durable_fail(&s->d, "recovery changes the disk");
    if (ret->verdict != RECOVERY_REFUSED &&
        (ret->seq > s->last || store_seq(store) != ret->seq ||
         !digest_equal(store_digest(store), s->d.history.digests[ret->seq])))
        durable_fail(&s->d, "a state that never was, as seq %llu",
                     (unsigned long long)ret->seq);
    if (ret->verdict == RECOVERY_REFUSED && (!ret->file[0] || !ret->why[0]))
        durable_fail(&s->d, "refused, and nobody knows why");
    recovery_free(ret);
    if (mem.used || sim_io_descriptors(sim))
        durable_fail(&s->d, "recovery leaks");
    if (store_mem(store)->used != store_bytes(store))
        durable_fail(&s->d, "recovery leaks in the store");
    store_free(store);
    io_free(io);
}

static void must_answer(struct specimen *s, const struct recovery *got,
                        const struct answer *wanted, const char *what,
                        const char *file, uint64_t at)
{
    bool refused = wanted->verdict == RECOVERY_REFUSED;

    if (got->verdict == wanted->verdict &&
        (refused || got->seq == wanted->seq) &&
        (got->verdict == RECOVERY_OK || (strcmp(got->file, wanted->file) == 0 &&
                                         got->offset == wanted->offset)) &&
        got->missing_to == (refused ? wanted->missing : 0) &&
        (!got->missing_to || got->missing_from == wanted->seq + 1))
        return;
    durable_fail(&s->d,
                 "%s %s @%llu: verdict %d seq %llu, %s @%llu (%s), missing "
                 "%llu; wanted: verdict %d seq %llu, %s @%llu, missing %llu",
                 what, file, (unsigned long long)at, got->verdict,
                 (unsigned long long)got->seq, got->file,
                 (unsigned long long)got->offset, got->why,
                 (unsigned long long)got->missing_to, wanted->verdict,
                 (unsigned long long)wanted->seq,
                 wanted->file ? wanted->file : "",
                 (unsigned long long)wanted->offset,
                 (unsigned long long)wanted->missing);
}

/* ---- the oracle ---- */

/* The highest claim of all segments, but for records `from` to `end` of
 * segment `except`. */
static uint64_t claims(const struct specimen *s, unsigned except, unsigned from,
                       unsigned end)
{
    uint64_t claim = s->manifest.durable;

    for (unsigned i = s->segments; i < s->count; i++)
        for (unsigned k = 0; k < s->files[i].count; k++)
            if ((i != except || k < from || k >= end) &&
                s->files[i].records[k].durable > claim)
                claim = s->files[i].records[k].durable;
    return claim;
}

/* The seq that everything before record `k` of segment `i` leads to. */
static uint64_t seq_before(const struct specimen *s, unsigned i, unsigned k)
{
    return k ? s->files[i].records[k - 1].seq : s->files[i].first_seq - 1;
}

/* Something is wrong at `offset` of segment `i`, where the log is at `seq`,
 * and `claim` is what the rest of the files says. */
static struct answer torn_or_refused(const struct specimen *s, unsigned i,
                                     uint64_t offset, uint64_t seq,
                                     uint64_t claim)
{
    struct answer answer = {RECOVERY_TORN, seq, s->files[i].name, offset, 0};
    bool ended = i + 1 < s->count && s->files[i + 1].listed;

    if (claim > seq)
        answer.missing = claim;
    if (claim > seq || ended)
        answer.verdict = RECOVERY_REFUSED;
    return answer;
}

/* The manifest or the checkpoint is damaged. */
static struct answer predict_other(const struct specimen *s, unsigned i,
                                   uint64_t expect)
{
    uint64_t claim =
        s->manifest.durable > expect ? s->manifest.durable : expect;

    /* A damaged manifest claims nothing. */
    if (s->files[i].kind == FILE_MANIFEST)
        claim = expect;
    return (struct answer){RECOVERY_REFUSED, 0, s->files[i].name, 0, claim};
}

/* The header of segment `i` is damaged. */
static struct answer predict_header(const struct specimen *s, unsigned i,
                                    uint64_t seq, uint64_t claim)
{
    struct answer answer = torn_or_refused(s, i, 0, seq, claim);

    if (s->files[i].listed)
        answer.verdict = RECOVERY_REFUSED;
    return answer;
}

/* The highest claim that was read before segment `i`. */
static uint64_t claims_before(const struct specimen *s, unsigned i,
                              uint64_t expect)
{
    uint64_t claim =
        s->manifest.durable > expect ? s->manifest.durable : expect;

    for (unsigned j = s->segments; j < i; j++)
        for (unsigned k = 0; k < s->files[j].count; k++)
            if (s->files[j].records[k].durable > claim)
                claim = s->files[j].records[k].durable;
    return claim;
}

/* Byte `at` of segment `i` is another one. */
static struct answer predict_flip(const struct specimen *s, unsigned i,
                                  uint64_t at, uint64_t expect)
{
    const struct file *file = &s->files[i];
    unsigned k = 0;
    uint64_t claim;

    while (k < file->count && file->records[k].end <= at)
        k++;
    claim = claims(s, i, k, k + 1);
    claim = claim > expect ? claim : expect;
    if (at < FILE_HEADER_BYTES) {
        uint64_t seq = file->first_seq - 1;
        struct answer answer;

        claim = claims(s, i, 0, 0);
        claim = claim > expect ? claim : expect;
        answer = predict_header(s, i, seq, claim);
        if (file->listed) { /* refused before anybody looks on */
            claim = claims_before(s, i, expect);
            answer.missing = claim > seq ? claim : 0;
        }
        return answer;
    }
    if (k == file->count && k && file->records[k - 1].type == RECORD_CLOSE) {
        /* Behind an orderly end: refused, whatever it is. */
        return (struct answer){RECOVERY_REFUSED, file->records[k - 1].seq,
                               file->name, file->records[k - 1].end, 0};
    }
    return torn_or_refused(s, i,
                           k < file->count ? file->records[k].offset
                           : k             ? file->records[k - 1].end
                                           : FILE_HEADER_BYTES,
                           seq_before(s, i, k), claim);
}

/* Segment `i` is cut to `size` bytes. */
static struct answer predict_cut(const struct specimen *s, unsigned i,
                                 uint64_t size, uint64_t expect)
{
    const struct file *file = &s->files[i];
    unsigned k = 0;
    uint64_t end = FILE_HEADER_BYTES;
    uint64_t seq, claim;
    bool something = false;

    if (size < FILE_HEADER_BYTES) {
        struct answer answer;

        claim = claims(s, i, 0, RECORDS_MAX);
        claim = claim > expect ? claim : expect;
        seq = file->first_seq - 1;
        answer = predict_header(s, i, seq, claim);
        if (file->listed) { /* refused before anybody looks on */
            claim = claims_before(s, i, expect);
            answer.missing = claim > seq ? claim : 0;
        }
        return answer;
    }
    while (k < file->count && file->records[k].end <= size)
        end = file->records[k++].end;
    seq = seq_before(s, i, k);
    claim = claims(s, i, k, RECORDS_MAX);
    claim = claim > expect ? claim : expect;
    for (uint64_t at = end; at < size; at++)
        something |= file->data[at] != 0;
    if (something)
        return torn_or_refused(s, i, end, seq, claim);
    if (i + 1 < s->count && seq + 1 == s->files[i + 1].first_seq)
        return (struct answer){RECOVERY_OK, s->last, NULL, 0, 0};
    if (claim > seq)
        return (struct answer){RECOVERY_REFUSED, seq, file->name, end, claim};
    if (i + 1 < s->count) /* the next one begins too late */
        return (struct answer){RECOVERY_TORN, seq, s->files[i + 1].name, 0, 0};
    return (struct answer){RECOVERY_OK, seq, NULL, 0, 0};
}

/* ---- L2, L1: bytes ---- */

/* A torn tail, set aside and cut, is a directory as good as any. */
static void must_mend(struct specimen *s, const struct answer *answer)
{
    struct sim_io *sim = sim_io_clone(s->sim);
    struct durable d;
    enum status st;

    durable_init(&d, sim, s->d.seed, s->d.policy, s->d.segment_bytes);
    history_free(&d.history);
    history_copy(&d.history, &s->d.history);
    for (unsigned life = 0; life < 2; life++) {
        st = durable_open(&d, 0);
        if (st != ST_OK || d.recovery.seq < answer->seq ||
            (!life && (d.recovery.seq != answer->seq ||
                       d.recovery.verdict != RECOVERY_TORN)) ||
            (life && d.recovery.verdict != RECOVERY_OK))
            durable_fail(&s->d, "life %u after mending: status %d seq %llu %s",
                         life, st, (unsigned long long)d.recovery.seq,
                         d.recovery.why);
        if (!life && !sim_io_exists(sim, "torn"))
            durable_fail(&s->d, "what was torn is gone");
        if (!all_durable(sim))
            durable_fail(&s->d, "life %u: what was mended is not on the disk",
                         life);
        assert_int_equal(durable_mutate(&d), ST_OK);
        assert_int_equal(durable_sync(&d), ST_OK);
        durable_abandon(&d);
    }
    durable_deinit(&d);
    sim_io_free(sim);
}

static void flip_one(struct specimen *s, unsigned i, uint64_t at, uint8_t mask,
                     uint64_t expect)
{
    const struct file *file = &s->files[i];
    struct answer wanted = file->kind == FILE_LOG
                               ? predict_flip(s, i, at, expect)
                               : predict_other(s, i, expect);
    struct recovery got;

    sim_io_flip(s->sim, file->name, at, mask);
    look(s, s->sim, expect, at % 16 == 0, &got);
    if (file->kind != FILE_LOG) { /* the record's place is not in the map */
        if (got.offset > at)
            durable_fail(&s->d, "%s @%llu: refused behind the damage, @%llu",
                         file->name, (unsigned long long)at,
                         (unsigned long long)got.offset);
        wanted.offset = got.offset;
    }
    must_answer(s, &got, &wanted, "flip in", file->name, at);
    if (wanted.verdict == RECOVERY_TORN && at % 8 == 0)
        must_mend(s, &wanted);
    sim_io_flip(s->sim, file->name, at, mask);
}

/* Bytes of a file that are worth looking at: all but most of its room. */
static uint64_t used_bytes(const struct file *file)
{
    uint64_t end = file->size;

    while (end > 0 && !file->data[end - 1])
        end--;
    end += 70;
    return end < file->size ? end : file->size;
}

static void a_bit_of_every_byte_is_flipped(void **state)
{
    uint64_t first = recoveries;
    uint64_t seed = 100;

    (void)state;
    for (uint64_t n = durable_scale(10); n > 0; n--, seed++) {
        struct specimen s;
        struct random random;

        specimen_next(&s, &seed);
        random_init(&random, seed);
        for (unsigned i = 0; i < s.count; i++) {
            uint64_t end = used_bytes(&s.files[i]);

            for (uint64_t at = 0; at < end; at++)
                flip_one(&s, i, at, (uint8_t)(1u << random_below(&random, 8)),
                         random_below(&random, 2) ? s.last : 0);
            if (end < s.files[i].size)
                flip_one(&s, i, s.files[i].size - 1, 0x80, 0);
        }
        specimen_free(&s);
        if (getenv("SEED"))
            break;
    }
    printf("L2: %llu flips\n", (unsigned long long)(recoveries - first));
}

static void every_bit_of_a_small_one_is_flipped(void **state)
{
    uint64_t first = recoveries;
    uint64_t seed = 200;

    (void)state;
    for (uint64_t n = durable_scale(1); n > 0; n--, seed++) {
        struct specimen s;

        specimen_next(&s, &seed);
        for (unsigned i = 0; i < s.count; i++) {
            uint64_t end = used_bytes(&s.files[i]);

            /* All of MANIFEST and the newest segments, parts of others. */
            if (i > 0 && i + 2 < s.count && end > 400)
                end = 400;
            for (uint64_t at = 0; at < end; at++)
                for (unsigned bit = 0; bit < 8; bit++)
                    flip_one(&s, i, at, (uint8_t)(1u << bit),
                             bit % 2 ? s.last : 0);
        }
        specimen_free(&s);
    }
    printf("L2: %llu flips of all bits\n",
           (unsigned long long)(recoveries - first));
}

static void cut_one(struct specimen *s, unsigned i, uint64_t size,
                    uint64_t expect)
{
    const struct file *file = &s->files[i];
    struct answer wanted = file->kind == FILE_LOG
                               ? predict_cut(s, i, size, expect)
                               : predict_other(s, i, expect);
    struct recovery got;

    sim_io_cut_file(s->sim, file->name, size);
    look(s, s->sim, expect, size % 16 == 0, &got);
    if (file->kind != FILE_LOG) {
        if (got.offset > size)
            durable_fail(&s->d, "%s cut to %llu: refused @%llu", file->name,
                         (unsigned long long)size,
                         (unsigned long long)got.offset);
        wanted.offset = got.offset;
    }
    must_answer(s, &got, &wanted, "cut of", file->name, size);
    if (wanted.verdict == RECOVERY_TORN && size % 8 == 0)
        must_mend(s, &wanted);
    sim_io_put_file(s->sim, file->name, bytes_of(file->data, file->size));
}

static void every_file_is_cut_everywhere(void **state)
{
    uint64_t first = recoveries;
    uint64_t seed = 300;

    (void)state;
    for (uint64_t n = durable_scale(8); n > 0; n--, seed++) {
        struct specimen s;
        struct random random;

        specimen_next(&s, &seed);
        random_init(&random, seed);
        for (unsigned i = 0; i < s.count; i++) {
            uint64_t end = used_bytes(&s.files[i]);

            for (uint64_t size = 0; size < end; size++)
                cut_one(&s, i, size, random_below(&random, 2) ? s.last : 0);
        }
        specimen_free(&s);
        if (getenv("SEED"))
            break;
    }
    printf("L1: %llu cuts\n", (unsigned long long)(recoveries - first));
}

/* ---- L3: sectors and files ---- */

struct comparison {
    struct sim_io *other;
    bool same;
};

static void compare_one(void *context, const char *name)
{
    struct comparison *c = context;
    char plain[SIM_NAME_BYTES];
    size_t size = strlen(name);

    if (strcmp(name, "LOCK") == 0)
        return;
    snprintf(plain, sizeof(plain), "%s", name);
    if (size && plain[size - 1] == '/')
        plain[size - 1] = '\0';
    if (!sim_io_exists(c->other, plain))
        c->same = false;
}

struct contents {
    struct comparison c;
    struct sim_io *sim;
};

static void compare_contents(void *context, const char *name)
{
    struct contents *contents = context;
    size_t size = strlen(name);

    compare_one(&contents->c, name);
    if (contents->c.same && name[size - 1] != '/' &&
        strcmp(name, "LOCK") != 0 &&
        !bytes_equal(sim_io_file(contents->sim, name),
                     sim_io_file(contents->c.other, name)))
        contents->c.same = false;
}

static bool same_directories(struct sim_io *a, struct sim_io *b)
{
    struct contents there = {{b, true}, a};
    struct comparison back = {a, true};

    sim_io_each_name(a, compare_contents, &there);
    sim_io_each_name(b, compare_one, &back);
    return there.c.same && back.same;
}

/* Is every file there, and as it is, if the power fails now? And is every
 * segment that would be there then? */
static bool all_durable(struct sim_io *sim)
{
    struct sim_io *cut = sim_io_power_cut(sim, NULL, SIM_POWER_OLD);
    struct contents there = {{cut, true}, sim};
    struct comparison back = {sim, true};

    sim_io_each_name(sim, compare_contents, &there);
    sim_io_each_name(cut, compare_one, &back);
    sim_io_free(cut);
    return there.c.same && back.same;
}

/*
 * `sim` is the specimen's directory with damage in it, all of which lies in
 * bytes `from` to `end` of file `i`. It is recovered, and everything that the
 * weaker oracle knows is checked. A process that opens it for writing and is
 * refused has changed nothing. `sim` is freed.
 */
static void judge(struct specimen *s, struct sim_io *sim, unsigned i,
                  uint64_t from, uint64_t end, const char *what)
{
    const struct file *file = &s->files[i];
    struct sim_io *before = sim_io_clone(sim);
    struct recovery got;
    struct durable d;
    uint64_t least;
    unsigned k = 0, last;
    enum status st;

    while (k < file->count && file->records[k].end <= from)
        k++;
    for (last = k; last < file->count && file->records[last].offset < end;)
        last++;
    least = file->kind == FILE_MANIFEST ? 0 : claims(s, i, k, last);
    look(s, sim, 0, false, &got);
    if (got.verdict != RECOVERY_REFUSED && got.seq < least)
        durable_fail(&s->d, "%s %s @%llu: seq %llu, and %llu was durable", what,
                     file->name, (unsigned long long)from,
                     (unsigned long long)got.seq, (unsigned long long)least);
    look(s, sim, s->last, true, &got);
    if (got.verdict != RECOVERY_REFUSED && got.seq != s->last)
        durable_fail(&s->d, "%s %s @%llu: acknowledged seqs are lost", what,
                     file->name, (unsigned long long)from);

    durable_init(&d, sim, s->d.seed, s->d.policy, s->d.segment_bytes);
    history_free(&d.history);
    history_copy(&d.history, &s->d.history);
    d.what = what;
    st = durable_open(&d, 0);
    if (st == ST_LOG_REFUSED) {
        if (!same_directories(before, sim) || !same_directories(sim, before))
            durable_fail(&s->d, "%s %s @%llu: refused, but changed", what,
                         file->name, (unsigned long long)from);
    } else if (st != ST_OK || d.recovery.seq < least) {
        durable_fail(&s->d, "%s %s @%llu: opened with status %d, seq %llu",
                     what, file->name, (unsigned long long)from, st,
                     (unsigned long long)d.recovery.seq);
    } else {
        assert_int_equal(durable_mutate(&d), ST_OK);
        assert_int_equal(durable_close(&d), ST_OK);
        if (durable_open(&d, d.written) != ST_OK)
            durable_fail(&s->d, "%s %s @%llu: not to be opened again: %s", what,
                         file->name, (unsigned long long)from, d.recovery.why);
    }
    durable_deinit(&d);
    sim_io_free(before);
    sim_io_free(sim);
}

static void damage_sector(struct specimen *s, unsigned i, uint64_t from,
                          size_t sector, struct random *random)
{
    static const char *const what[] = {"zeros in",   "garbage in",
                                       "another's",  "a later sector",
                                       "swapped in", "half old"};
    const struct file *file = &s->files[i];
    size_t size = file->size - from < sector ? file->size - from : sector;
    const struct file *other = &s->files[random_below(random, s->count)];
    uint8_t *bytes = malloc(sector);

    for (unsigned kind = 0; kind < 6; kind++) {
        struct sim_io *sim = sim_io_clone(s->sim);
        uint64_t end = from + size;
        uint64_t second = from + sector;

        memcpy(bytes, file->data + from, size);
        switch (kind) {
        case 0:
            memset(bytes, 0, size);
            break;
        case 1:
            for (size_t k = 0; k < size; k++)
                bytes[k] = (uint8_t)random_next(random);
            break;
        case 2:
            if (from + size <= other->size)
                memcpy(bytes, other->data + from, size);
            break;
        case 3: /* duplicated from behind, or swapped with it */
        case 4:
            if (second + size > file->size)
                break;
            memcpy(bytes, file->data + second, size);
            end = second + size;
            if (kind == 4)
                sim_io_overwrite(sim, file->name, second,
                                 bytes_of(file->data + from, size));
            break;
        default: /* as it was when it was half full */
            memset(bytes + size / 2, 0, size - size / 2);
            break;
        }
        sim_io_overwrite(sim, file->name, from, bytes_of(bytes, size));
        judge(s, sim, i, from, end, what[kind]);
    }
    free(bytes);
}

static void sectors_are_damaged(void **state)
{
    static const size_t sectors[] = {512, 4096};
    uint64_t first = recoveries;
    uint64_t seed = 400;

    (void)state;
    for (uint64_t n = durable_scale(25); n > 0; n--, seed++) {
        struct specimen s;
        struct random random;

        specimen_next(&s, &seed);
        random_init(&random, seed);
        for (unsigned i = 0; i < s.count; i++)
            for (unsigned k = 0; k < 2; k++)
                for (uint64_t from = 0; from < used_bytes(&s.files[i]);
                     from += sectors[k])
                    damage_sector(&s, i, from, sectors[k], &random);
        specimen_free(&s);
        if (getenv("SEED"))
            break;
    }
    printf("L3: %llu recoveries with damaged sectors\n",
           (unsigned long long)(recoveries - first));
}

/* What becomes of `sim`, in which file `i` is not what it should be at all. */
static void must_refuse(struct specimen *s, struct sim_io *sim,
                        const char *file, const char *what)
{
    struct sim_io *before = sim_io_clone(sim);
    struct recovery got;

    look(s, sim, 0, true, &got);
    if (got.verdict != RECOVERY_REFUSED || strcmp(got.file, file) != 0)
        durable_fail(&s->d, "%s (%s): verdict %d of %s: %s", what, file,
                     got.verdict, got.file, got.why);
    if (!same_directories(before, sim))
        durable_fail(&s->d, "%s (%s): refused, but changed", what, file);
    sim_io_free(before);
    sim_io_free(sim);
}

/* The same content, but for the 16 bytes of the store and the checksum. */
static void make_foreign(struct sim_io *sim, const struct file *file)
{
    struct file_header header;
    uint8_t bytes[FILE_HEADER_BYTES];

    assert_int_equal(
        file_header_read(bytes_of(file->data, file->size), &header), FORMAT_OK);
    header.store_id[3] ^= 1;
    file_header_write(bytes, &header);
    sim_io_overwrite(sim, file->name, 0, bytes_of(bytes, sizeof(bytes)));
}

static void make_newer(struct sim_io *sim, const struct file *file,
                       const char *name)
{
    struct file_header header;
    uint8_t bytes[FILE_HEADER_BYTES];

    assert_int_equal(
        file_header_read(bytes_of(file->data, file->size), &header), FORMAT_OK);
    header.major++;
    file_header_write(bytes, &header);
    sim_io_put_file(sim, name, bytes_of(bytes, sizeof(bytes)));
}

static void files_are_missing_doubled_and_foreign(void **state)
{
    uint64_t seed = 500;

    (void)state;
    for (uint64_t n = durable_scale(40); n > 0; n--, seed++) {
        struct specimen s;
        char name[FILE_NAME_BYTES];
        struct sim_io *sim;

        specimen_next(&s, &seed);
        for (unsigned i = 0; i < s.count; i++) {
            const struct file *file = &s.files[i];
            bool in_use = file->kind != FILE_LOG || file->listed;

            if (in_use) {
                sim = sim_io_clone(s.sim);
                sim_io_remove_file(sim, file->name);
                must_refuse(&s, sim, file->name, "missing");
            } else {
                /* Nobody lists it: then only its claims would prove it. */
                sim = sim_io_clone(s.sim);
                sim_io_remove_file(sim, file->name);
                judge(&s, sim, i, 0, UINT64_MAX, "missing");
            }
            if (file->kind != FILE_MANIFEST) {
                sim = sim_io_clone(s.sim);
                make_foreign(sim, file);
                must_refuse(&s, sim, file->name, "foreign");
            }
            if (file->kind == FILE_LOG) {
                /* Under the next free name as well. */
                segment_name(name, s.last + 1);
                if (!sim_io_exists(s.sim, name)) {
                    sim = sim_io_clone(s.sim);
                    sim_io_put_file(sim, name,
                                    bytes_of(file->data, file->size));
                    must_refuse(&s, sim, name, "doubled");
                    sim = sim_io_clone(s.sim);
                    make_newer(sim, file, name);
                    must_refuse(&s, sim, name, "of a newer format");
                }
                if (i + 1 < s.count) { /* and in the next one's place */
                    sim = sim_io_clone(s.sim);
                    sim_io_put_file(sim, s.files[i + 1].name,
                                    bytes_of(file->data, file->size));
                    must_refuse(&s, sim, s.files[i + 1].name, "in its place");
                }
            }
            sim = sim_io_clone(s.sim);
            sim_io_put_file(sim, file->name,
                            bytes_of(s.files[!i].data, s.files[!i].size));
            must_refuse(&s, sim, file->name, "another file");
            make_newer(s.sim, file, file->name);
            must_refuse(&s, sim_io_clone(s.sim), file->name, "newer");
            sim_io_put_file(s.sim, file->name,
                            bytes_of(file->data, file->size));
        }
        specimen_free(&s);
        if (getenv("SEED"))
            break;
    }
}

struct keeping {
    struct specimen *s;
    struct sim_io *sim;
};

/* A file of the directory as it was is there, or in torn/. */
static void must_be_kept(void *context, const char *name)
{
    struct keeping *keeping = context;
    char torn[SIM_NAME_BYTES];
    uint64_t seq;

    snprintf(torn, sizeof(torn), "torn/%.80s.0.1", name);
    if ((segment_name_parse(name, &seq) || checkpoint_name_parse(name, &seq)) &&
        !sim_io_exists(keeping->sim, name) &&
        !sim_io_exists(keeping->sim, torn))
        durable_fail(&keeping->s->d, "%s is gone", name);
}

/* Opens a directory for writing, which succeeds and removes nothing. */
static void must_keep_all(struct specimen *s, struct sim_io *sim)
{
    struct sim_io *before = sim_io_clone(sim);
    struct keeping keeping = {.s = s, .sim = sim};
    struct durable d;

    durable_init(&d, sim, s->d.seed, s->d.policy, s->d.segment_bytes);
    history_free(&d.history);
    history_copy(&d.history, &s->d.history);
    if (durable_open(&d, 0) != ST_OK)
        durable_fail(&s->d, "not to be opened: %s", d.recovery.why);
    sim_io_each_name(before, must_be_kept, &keeping);
    durable_deinit(&d);
    sim_io_free(before);
}

/* Each manifest that the directory ever had, in the place of the last one. */
static void a_manifest_of_another_time_is_put_back(void **state)
{
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 700;
    unsigned refused = 0, accepted = 0, unproven = 0;

    (void)state;
    for (uint64_t n = durable_scale(30); n > 0; n--, seed++) {
        struct sim_io *sim = sim_io_create();
        uint8_t *old[64];
        size_t sizes[64];
        unsigned count = 0;
        struct specimen s = {.count = 0};

        durable_init(&s.d, sim, seed, (enum sync_policy)(seed % 3), 2500);
        assert_int_equal(durable_open(&s.d, 0), ST_OK);
        for (unsigned i = 0; i < 50; i++) {
            struct bytes now;

            assert_int_equal(durable_step(&s.d), ST_OK);
            now = sim_io_file(sim, MANIFEST_NAME);
            if (count == 64 ||
                (count &&
                 bytes_equal(now, bytes_of(old[count - 1], sizes[count - 1]))))
                continue;
            old[count] = malloc(now.size);
            memcpy(old[count], now.data, now.size);
            sizes[count++] = now.size;
        }
        assert_int_equal(durable_sync(&s.d), ST_OK);
        durable_abandon(&s.d);
        s.sim = sim;
        s.last = s.d.history.last;
        for (unsigned i = 0; i < count; i++) {
            struct sim_io *back = sim_io_clone(sim);
            struct recovery got;

            sim_io_put_file(back, MANIFEST_NAME, bytes_of(old[i], sizes[i]));
            look(&s, back, s.last, true, &got);
            if (got.verdict != RECOVERY_REFUSED && got.seq != s.last)
                durable_fail(&s.d, "manifest %u of %u: seq %llu of %llu", i,
                             count, (unsigned long long)got.seq,
                             (unsigned long long)s.last);
            refused += got.verdict == RECOVERY_REFUSED;
            accepted += got.verdict != RECOVERY_REFUSED;
            /* If nobody remembers, nothing may prove that something is
             * missing; but then nothing is destroyed either. */
            look(&s, back, 0, true, &got);
            if (got.verdict != RECOVERY_REFUSED && got.seq != s.last) {
                unproven++;
                must_keep_all(&s, back);
            }
            sim_io_free(back);
            free(old[i]);
        }
        durable_deinit(&s.d);
        sim_io_free(sim);
        if (given)
            break;
    }
    assert_true(given || (refused > 0 && accepted > 0));
    printf("L3: old manifests: %u refused, %u as good as the new one; %u not "
           "to be known without a client\n",
           refused, accepted, unproven);
}

/* One of the same store and seq that is as good in itself, and another. */
static void the_checkpoint_is_the_one_that_the_manifest_means(void **state)
{
    static const char name[] = "ckpt-000000000000000a.tlg";
    struct sim_io *sims[2];
    struct specimen s[2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        memset(&s[i], 0, sizeof(s[i]));
        sims[i] = sim_io_create();
        durable_init(&s[i].d, sims[i], i + 1, SYNC_ALWAYS, 4096);
        assert_int_equal(durable_open(&s[i].d, 0), ST_OK);
        for (unsigned k = 0; k < 10; k++)
            assert_int_equal(durable_mutate(&s[i].d), ST_OK);
        assert_int_equal(durable_checkpoint_begin(&s[i].d), ST_OK);
        assert_int_equal(durable_checkpoint_end(&s[i].d), ST_OK);
        assert_int_equal(durable_sync(&s[i].d), ST_OK);
        durable_abandon(&s[i].d);
        s[i].last = 10;
    }
    sim_io_put_file(sims[0], name, sim_io_file(sims[1], name));
    must_refuse(&s[0], sim_io_clone(sims[0]), name, "another checkpoint");
    for (unsigned i = 0; i < 2; i++) {
        durable_deinit(&s[i].d);
        sim_io_free(sims[i]);
    }
}

/* ---- what no crash leaves ---- */

/* A store with three mutations in its first segment, shut. */
static void small_make(struct specimen *s, bool orderly)
{
    memset(s, 0, sizeof(*s));
    s->sim = sim_io_create();
    durable_init(&s->d, s->sim, 77, SYNC_ALWAYS, 1u << 20);
    assert_int_equal(durable_open(&s->d, 0), ST_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(durable_mutate(&s->d), ST_OK);
    assert_int_equal(durable_sync(&s->d), ST_OK);
    if (orderly)
        assert_int_equal(durable_close(&s->d), ST_OK);
    s->last = 3;
}

static void small_free(struct specimen *s)
{
    durable_deinit(&s->d);
    sim_io_free(s->sim);
}

/* A record with the right checksums behind the last one of a file. */
static void add_record(struct specimen *s, const char *name,
                       enum record_type type, uint64_t seq, uint64_t durable)
{
    static const uint8_t store_id[STORE_ID_BYTES] = "durable.c's own";
    uint8_t bytes[RECORD_HEADER_BYTES + 2] = {0};
    struct bytes file = sim_io_file(s->sim, name);
    uint64_t end = file.size;

    while (!file.data[end - 1])
        end--;
    bytes[RECORD_HEADER_BYTES] = ETF_VERSION;
    bytes[RECORD_HEADER_BYTES + 1] = ETF_NIL;
    record_header_write(bytes, record_seed(store_id), type, seq, durable,
                        bytes_of(bytes + RECORD_HEADER_BYTES + 1, 1));
    sim_io_overwrite(s->sim, name, end, bytes_of(bytes, sizeof(bytes)));
}

static void nothing_may_stand_behind_an_orderly_end(void **state)
{
    static const char name[] = "log-0000000000000001.tlg";

    (void)state;
    for (unsigned what = 0; what < 4; what++) {
        struct specimen s;

        small_make(&s, true);
        if (what == 0)
            add_record(&s, name, RECORD_MARK, 3, 3);
        else if (what == 1)
            add_record(&s, name, RECORD_MUTATION, 4, 3);
        else if (what == 2)
            add_record(&s, name, RECORD_CLOSE, 3, 3);
        else
            sim_io_overwrite(s.sim, name, sim_io_file(s.sim, name).size + 40,
                             BYTES("x"));
        must_refuse(&s, sim_io_clone(s.sim), name, "behind the end");
        small_free(&s);
    }
}

/* Valid records that do not follow the one before. Without a store too. */
static void records_follow_one_another(void **state)
{
    static const char name[] = "log-0000000000000001.tlg";
    static const struct {
        enum record_type type;
        uint64_t seq, durable;
        bool good;
    } cases[] = {
        {RECORD_MARK, 3, 3, true},
        {RECORD_MARK, 3, 1, true},
        {(enum record_type)128, 3, 3, true},
        {(enum record_type)255, 3, 0, true},
        {RECORD_MARK, 4, 3, false},
        {RECORD_MARK, 2, 2, false},
        {RECORD_MUTATION, 3, 2, false}, /* once more */
        {RECORD_MUTATION, 5, 3, false}, /* one is missing */
        {RECORD_MUTATION, 4, 4, false}, /* durable before it is written */
        {RECORD_MUTATION, 1, 0, false},
        {RECORD_DIGEST, 3, 3, false}, /* without one */
        {RECORD_CLOSE, 3, 3, false},
        {RECORD_MANIFEST, 3, 3, false},
        {(enum record_type)127, 3, 3, false},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct recovery_options options = {.until = UINT64_MAX};
        struct recovery got;
        struct specimen s;
        struct mem mem;
        struct io *io;
        int error;

        small_make(&s, false);
        durable_abandon(&s.d);
        add_record(&s, name, cases[i].type, cases[i].seq, cases[i].durable);
        if (cases[i].good) {
            look(&s, s.sim, 3, false, &got);
            assert_int_equal(got.verdict, RECOVERY_OK);
        } else {
            must_refuse(&s, sim_io_clone(s.sim), name, "out of order");
        }
        mem_init(&mem, 0);
        io = sim_io_open(s.sim);
        assert_int_equal(
            recover_directory(io, NULL, &options, &mem, &got, &error), ST_OK);
        if ((got.verdict == RECOVERY_OK) != cases[i].good)
            fail_msg("case %u without a store: %s", i, got.why);
        recovery_free(&got);
        io_free(io);
        small_free(&s);
    }
}

/* The record that ends a segment is damaged, and the next one holds what is
 * durable, though nothing in it says so: it was synced, or would not be
 * listed, and so nothing may be cut. */
static void an_ended_segment_is_never_torn(void **state)
{
    static const char name[] = "log-0000000000000001.tlg";
    struct specimen s;
    uint64_t end;

    (void)state;
    small_make(&s, false);
    assert_int_equal(termlog_roll(s.d.log), ST_OK);
    assert_int_equal(durable_sync(&s.d), ST_OK);
    assert_int_equal(durable_mutate(&s.d), ST_OK);
    assert_int_equal(durable_sync(&s.d), ST_OK);
    durable_abandon(&s.d);
    s.last = 4;
    end = sim_io_file(s.sim, name).size;
    for (uint64_t at = end - 60; at < end; at++) {
        sim_io_flip(s.sim, name, at, 1);
        must_refuse(&s, sim_io_clone(s.sim), name, "the end of a segment");
        sim_io_flip(s.sim, name, at, 1);
    }
    small_free(&s);
}

/* ---- options ---- */

static void until_stops_at_every_seq(void **state)
{
    struct specimen s;
    uint64_t seed = 700;

    (void)state;
    specimen_next(&s, &seed);
    for (uint64_t until = 0; until <= s.last + 1; until++) {
        struct recovery_options options = {.apply = durable_apply,
                                           .until = until};
        struct io *io = sim_io_open(s.sim);
        struct recovery got;
        struct store *store;
        struct mem mem;
        enum status st;
        int error;

        mem_init(&mem, 0);
        assert_int_equal(store_create(NULL, &store), ST_OK);
        options.context = store;
        st = recover_directory(io, store, &options, &mem, &got, &error);
        if (until < s.manifest.checkpoint) {
            assert_int_equal(st, ST_NOT_FOUND);
        } else {
            uint64_t seq = until < s.last ? until : s.last;

            assert_int_equal(st, ST_OK);
            assert_int_equal(got.verdict, RECOVERY_OK);
            assert_int_equal(got.seq, seq);
            assert_int_equal(got.stopped, until <= s.last);
            assert_true(
                digest_equal(store_digest(store), s.d.history.digests[seq]));
        }
        recovery_free(&got);
        assert_int_equal(mem.used, 0);
        store_free(store);
        io_free(io);
    }
    specimen_free(&s);
}

/* The files by name, with and without a store; damage is found there too. */
static void files_are_recovered_by_name(void **state)
{
    uint64_t seed = 800;

    (void)state;
    for (unsigned round = 0; round < 10; round++, seed++) {
        struct specimen s;
        struct log_source sources[FILES_MAX];
        struct recovery_options options = {.apply = durable_apply,
                                           .until = UINT64_MAX};
        struct recovery got;
        struct store *store;
        struct mem mem;
        struct io *io;
        unsigned count = 0;
        int error;

        specimen_next(&s, &seed);
        io = sim_io_open(s.sim);
        for (unsigned i = s.count; i-- > 0;) /* in any order */
            if (s.files[i].kind != FILE_MANIFEST)
                sources[count++] = (struct log_source){io, s.files[i].name};
        mem_init(&mem, 0);
        assert_int_equal(store_create(NULL, &store), ST_OK);
        options.context = store;
        assert_int_equal(
            recover_files(sources, count, store, &options, &mem, &got, &error),
            ST_OK);
        assert_int_equal(got.verdict, RECOVERY_OK);
        assert_int_equal(got.seq, s.last);
        assert_true(
            digest_equal(store_digest(store), s.d.history.digests[s.last]));
        recovery_free(&got);
        store_free(store);

        /* Reading alone may begin anywhere. */
        options.apply = NULL;
        for (unsigned from = s.segments; from < s.count; from++) {
            assert_int_equal(recover_files(sources, s.count - from, NULL,
                                           &options, &mem, &got, &error),
                             ST_OK);
            assert_int_equal(got.verdict, RECOVERY_OK);
            assert_int_equal(got.seq, s.last);
            assert_int_equal(got.records, s.last + 1 - s.files[from].first_seq);
            recovery_free(&got);
        }
        assert_int_equal(mem.used, 0);
        io_free(io);
        specimen_free(&s);
    }
}

/*
 * Recovers `sources` into a store of its own: what came out, and the digest
 * must be that of its seq.
 */
static struct recovery recover_named(struct specimen *s,
                                     const struct log_source *sources,
                                     unsigned count, uint64_t until)
{
    struct recovery_options options = {.apply = durable_apply, .until = until};
    struct recovery got;
    struct store *store;
    struct mem mem;
    int error;

    mem_init(&mem, 0);
    assert_int_equal(store_create(NULL, &store), ST_OK);
    options.context = store;
    assert_int_equal(
        recover_files(sources, count, store, &options, &mem, &got, &error),
        ST_OK);
    assert_int_equal(got.verdict, RECOVERY_OK);
    assert_true(
        digest_equal(store_digest(store), s->d.history.digests[got.seq]));
    recovery_free(&got);
    store_free(store);
    assert_int_equal(mem.used, 0);
    return got;
}

/* A dump ends anywhere: what it holds of a segment is not applied again. */
static void a_checkpoint_and_segments_may_overlap(void **state)
{
    uint64_t seed = 860;

    (void)state;
    for (unsigned round = 0; round < 10; round++, seed++) {
        struct specimen s, later;
        struct log_source sources[2 * FILES_MAX];
        struct io *io, *later_io;
        unsigned count = 0;

        /* The same store at another time, with a checkpoint in the middle. */
        specimen_next(&s, &seed);
        assert_true(specimen_make(&later, seed, seed % 2));
        io = sim_io_open(s.sim);
        later_io = sim_io_open(later.sim);
        for (unsigned i = 0; i < s.count; i++)
            if (s.files[i].kind != FILE_MANIFEST)
                sources[count++] = (struct log_source){io, s.files[i].name};
        /* The newest segment twice: all of it lies behind itself. */
        sources[count++] =
            (struct log_source){later_io, later.files[later.count - 1].name};
        assert_int_equal(recover_named(&s, sources, count, UINT64_MAX).seq,
                         s.last);
        io_free(io);
        io_free(later_io);
        specimen_free(&later);
        specimen_free(&s);
    }
}

/* Where a listed segment is missing, all before it is known and of use. */
static void a_missing_segment_is_missed_where_it_was(void **state)
{
    uint64_t seed = 880;

    (void)state;
    for (unsigned round = 0; round < 10; round++, seed++) {
        struct specimen s;

        specimen_next(&s, &seed);
        for (unsigned i = s.segments; i < s.count; i++) {
            struct sim_io *sim = sim_io_clone(s.sim);
            struct io *io = sim_io_open(sim);
            struct recovery_options options = {.until = UINT64_MAX};
            uint64_t before = s.files[i].first_seq - 1;
            struct recovery got;
            struct mem mem;
            int error;

            if (!s.files[i].listed || !s.files[i].count)
                goto next;
            mem_init(&mem, 0);
            sim_io_remove_file(sim, s.files[i].name);
            assert_int_equal(
                recover_directory(io, NULL, &options, &mem, &got, &error),
                ST_OK);
            assert_int_equal(got.verdict, RECOVERY_REFUSED);
            assert_string_equal(got.file, s.files[i].name);
            assert_int_equal(got.seq, before);
            if (got.missing_to)
                assert_int_equal(got.missing_from, before + 1);
            recovery_free(&got);

            options.until = before;
            assert_int_equal(
                recover_directory(io, NULL, &options, &mem, &got, &error),
                ST_OK);
            assert_int_equal(got.verdict, RECOVERY_OK);
            assert_true(got.stopped && got.seq == before);
            recovery_free(&got);
            assert_int_equal(mem.used, 0);
        next:
            io_free(io);
            sim_io_free(sim);
        }
        specimen_free(&s);
    }
}

struct stopping {
    atomic_bool cancel;
    unsigned told;
    unsigned after;
};

static void on_progress(void *context, uint64_t done, uint64_t total)
{
    struct stopping *stopping = context;

    assert_true(done <= total);
    if (++stopping->told >= stopping->after)
        atomic_store(&stopping->cancel, true);
}

/* Wherever it is stopped, it says so. */
static void recovery_is_cancelled(void **state)
{
    uint64_t seed = 900;
    struct specimen s;
    bool stopped = true;

    (void)state;
    specimen_next(&s, &seed);
    for (unsigned after = 0; stopped; after++) {
        struct stopping stopping = {.after = after};
        struct recovery_options options = {.apply = durable_apply,
                                           .until = UINT64_MAX,
                                           .progress = {on_progress, &stopping},
                                           .cancel = &stopping.cancel};
        struct io *io = sim_io_open(s.sim);
        struct recovery got;
        struct store *store;
        struct mem mem;
        enum status st;
        int error;

        atomic_store(&stopping.cancel, after == 0);
        mem_init(&mem, 0);
        assert_int_equal(store_create(NULL, &store), ST_OK);
        options.context = store;
        st = recover_directory(io, store, &options, &mem, &got, &error);
        stopped = st != ST_OK;
        if (stopped) {
            assert_int_equal(st, ST_IO);
            assert_int_equal(error, ECANCELED);
        } else {
            assert_int_equal(error, 0);
            assert_int_equal(got.seq, s.last);
            assert_true(stopping.told > 2 && after >= stopping.told);
        }
        recovery_free(&got);
        assert_int_equal(mem.used, 0);
        store_free(store);
        io_free(io);
    }
    specimen_free(&s);
}

/* A client that remembers another store has been given the wrong directory. */
static void another_store_than_the_expected_one_is_refused(void **state)
{
    uint64_t seed = 950;
    struct specimen s;

    (void)state;
    specimen_next(&s, &seed);
    for (unsigned same = 0; same < 2; same++) {
        uint8_t id[STORE_ID_BYTES];
        struct recovery_options options = {
            .until = UINT64_MAX, .expect_seq = s.last + 5, .expect_store = id};
        struct io *io = sim_io_open(s.sim);
        struct recovery got;
        struct mem mem;
        int error;

        memcpy(id, s.manifest.store_id, sizeof(id));
        id[7] ^= (uint8_t)!same;
        mem_init(&mem, 0);
        assert_int_equal(
            recover_directory(io, NULL, &options, &mem, &got, &error), ST_OK);
        assert_int_equal(got.verdict, RECOVERY_REFUSED);
        assert_string_equal(got.file, same ? got.tail_file : MANIFEST_NAME);
        if (same)
            assert_int_equal(got.missing_from, s.last + 1);
        assert_int_equal(got.missing_to, s.last + 5);
        recovery_free(&got);
        assert_int_equal(mem.used, 0);
        io_free(io);
    }
    specimen_free(&s);
}

static void a_new_directory_is_fresh_unless_somebody_knows_better(void **state)
{
    struct sim_io *sim = sim_io_create();
    struct specimen s = {.count = 0};
    struct recovery got;

    (void)state;
    durable_init(&s.d, sim, 1, SYNC_ALWAYS, 2048);
    look(&s, sim, 0, true, &got);
    assert_true(got.fresh);
    assert_int_equal(got.verdict, RECOVERY_OK);
    look(&s, sim, 1, true, &got);
    assert_int_equal(got.verdict, RECOVERY_REFUSED);
    sim_io_put_file(sim, "MANIFEST.tmp", BYTES("half a manif"));
    look(&s, sim, 0, true, &got);
    assert_true(got.fresh);
    sim_io_put_file(sim, "log-0000000000000001.tlg", BYTES(""));
    look(&s, sim, 0, true, &got);
    assert_int_equal(got.verdict, RECOVERY_REFUSED);
    assert_string_equal(got.file, MANIFEST_NAME);
    durable_deinit(&s.d);
    sim_io_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_directory_is_fresh_unless_somebody_knows_better),
        cmocka_unit_test(until_stops_at_every_seq),
        cmocka_unit_test(files_are_recovered_by_name),
        cmocka_unit_test(a_checkpoint_and_segments_may_overlap),
        cmocka_unit_test(a_missing_segment_is_missed_where_it_was),
        cmocka_unit_test(recovery_is_cancelled),
        cmocka_unit_test(another_store_than_the_expected_one_is_refused),
        cmocka_unit_test(nothing_may_stand_behind_an_orderly_end),
        cmocka_unit_test(records_follow_one_another),
        cmocka_unit_test(an_ended_segment_is_never_torn),
        cmocka_unit_test(every_file_is_cut_everywhere),
        cmocka_unit_test(a_bit_of_every_byte_is_flipped),
        cmocka_unit_test(every_bit_of_a_small_one_is_flipped),
        cmocka_unit_test(sectors_are_damaged),
        cmocka_unit_test(files_are_missing_doubled_and_foreign),
        cmocka_unit_test(a_manifest_of_another_time_is_put_back),
        cmocka_unit_test(the_checkpoint_is_the_one_that_the_manifest_means),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    printf("%llu recoveries in all\n", (unsigned long long)recoveries);
    return failed;
}
