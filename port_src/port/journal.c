/*
 * journal.c -- notes in a list, each one block with copies of what it needs.
 *
 *     [note|op|where] -> [note|op|where] -> ...
 *                          `-> until
 *
 * A note that a worker's read still waits for belongs to that read: when the
 * journal goes first, the note stays behind and is freed when it is answered.
 */
#include "port/journal.h"

#include "port/reader.h"

void journal_init(struct journal *journal, struct mem *mem)
{
    *journal = (struct journal){.mem = mem, .end = &journal->first};
}

static size_t note_size(const struct note *note)
{
    return sizeof(*note) + note->op.size + note->where.size;
}

static size_t note_charge(const struct note *note)
{
    size_t until = note->until.size ? mem_charge(note->until.size) : 0;

    return mem_charge(note_size(note)) + until;
}

static void note_free(struct note *note)
{
    struct mem *mem = note->mem;

    mem_free(mem, (void *)(uintptr_t)note->until.data, note->until.size);
    mem_free(mem, note, note_size(note));
}

/* Takes a note out of its journal. */
static void note_unlink(struct note *note)
{
    struct journal *journal = note->journal;

    journal->bytes -= note_charge(note);
    journal->writes -= note->kind == NOTE_WRITE;
    *note->place = note->next;
    if (note->next)
        note->next->place = note->place;
    else
        journal->end = note->place;
    note->journal = NULL;
}

void note_drop(struct note *note)
{
    if (!note)
        return;
    if (note->journal)
        note_unlink(note);
    note_free(note);
}

void journal_deinit(struct journal *journal)
{
    while (journal->first) {
        struct note *note = journal->first;

        note_unlink(note);
        if (!note->pending)
            note_free(note);
    }
}

static void note_link(struct journal *journal, struct note *note)
{
    note->journal = journal;
    note->place = journal->end;
    *journal->end = note;
    journal->end = &note->next;
    journal->bytes += note_charge(note);
    journal->writes += note->kind == NOTE_WRITE;
}

/* What cannot be carried out again needs no notes. */
static void journal_overflow(struct journal *journal)
{
    uint64_t writes = journal->writes;

    journal_deinit(journal);
    journal->writes = writes;
    journal->full = true;
}

enum status journal_add(struct journal *journal, enum note_kind kind,
                        struct bytes op, struct bytes where, struct note **ret)
{
    size_t size = sizeof(struct note) + op.size + where.size;
    struct note *note;
    uint8_t *copy;

    *ret = NULL;
    if (!journal->full && journal->bytes + mem_charge(size) > JOURNAL_BYTES_MAX)
        journal_overflow(journal);
    if (journal->full) {
        journal->writes += kind == NOTE_WRITE;
        return ST_OK;
    }
    note = mem_alloc(journal->mem, size);
    if (!note)
        return mem_status(journal->mem);
    copy = (uint8_t *)(note + 1);
    *note = (struct note){
        .mem = journal->mem,
        .kind = kind,
        .op = bytes_of(copy, op.size),
        .where = bytes_of(copy + op.size, where.size),
    };
    memcpy(copy, op.data, op.size);
    if (where.size)
        memcpy(copy + op.size, where.data, where.size);
    note_link(journal, note);
    *ret = note;
    return ST_OK;
}

/* --- what was answered -------------------------------------------------- */

/* Keeps a copy of Next, in the bytes of an answer. */
static enum status note_keep_until(struct note *note, struct bytes until)
{
    uint8_t *copy = mem_alloc(note->mem, until.size);

    if (!copy)
        return mem_status(note->mem);
    memcpy(copy, until.data, until.size);
    note->until = bytes_of(copy, until.size);
    note->journal->bytes += mem_charge(until.size);
    return ST_OK;
}

/* `next` among `count` pairs of a map; empty: none. */
static struct bytes pairs_next(struct reader *pairs, uint32_t count)
{
    struct bytes name;

    while (count-- > 0) {
        bool next =
            reader_atom(pairs, &name) && bytes_equal(name, BYTES("next"));
        struct bytes term = reader_term(pairs);

        if (next)
            return term;
    }
    return bytes_of(NULL, 0);
}

/* The same in {error, {Why, Message, Details}}, behind the atom. */
static struct bytes error_next(struct reader *answer)
{
    uint32_t count;

    if (!reader_tuple_of(answer, 3))
        return bytes_of(NULL, 0);
    reader_term(answer);
    reader_term(answer);
    if (!reader_map(answer, &count))
        return bytes_of(NULL, 0);
    return pairs_next(answer, count);
}

/* Reads how far a scan or a count has come. */
static enum status note_read_answer(struct note *note, struct bytes answer)
{
    struct reader reader = reader_of(answer);
    struct bytes until = {NULL, 0};
    struct bytes word;
    uint32_t arity;

    if (!reader_tuple(&reader, &arity) || !reader_atom(&reader, &word))
        return ST_OK;
    note->failed = !bytes_equal(word, BYTES("ok"));
    if (note->failed) {
        until = error_next(&reader);
        note->stopped = until.size > 0;
    } else if (arity >= 3) {
        reader_term(&reader);
        until = reader_term(&reader);
        note->stopped = arity > 3;
    }
    return until.size ? note_keep_until(note, until) : ST_OK;
}

enum status note_failed(struct note *note, struct bytes pairs, uint32_t count)
{
    struct reader reader = reader_of(pairs);
    struct bytes until = pairs_next(&reader, count);
    enum status st = ST_OK;

    note->failed = true;
    note->stopped = until.size > 0;
    if (until.size)
        st = note_keep_until(note, until);
    if (st < 0)
        note_drop(note);
    return st;
}

enum status note_answer(struct note *note, struct bytes answer)
{
    enum status st;

    if (!note)
        return ST_OK;
    if (!note->journal || !answer.size) {
        note_drop(note);
        return ST_OK;
    }
    st = note_read_answer(note, answer);
    if (st < 0) {
        note_drop(note);
        return st;
    }
    note->answer = digest_bytes(answer);
    note->pending = false;
    return ST_OK;
}
