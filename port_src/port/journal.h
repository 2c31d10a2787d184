/*
 * journal.h -- what a fork was asked, in order, and what it answered.
 *
 * A commit carries the journal out again where others have changed the head
 * since (commit.c). A note holds an Op as it came, whether it changed the
 * fork, and the hash of its answer; an answer itself is kept by nobody.
 *
 * A read that a worker does is noted in its place when it begins, and gets its
 * answer when it ends, which may be after the fork is gone.
 */
#ifndef RHIZOME_PORT_JOURNAL_H
#define RHIZOME_PORT_JOURNAL_H

#include "core/buffer.h"
#include "core/digest.h"

/* Bytes of Ops that a journal may hold. Beyond them it keeps none. */
#define JOURNAL_BYTES_MAX (64u << 20)

struct journal;

enum note_check {
    CHECK_NOTHING,
    CHECK_MORE, /* that more lies behind a page */
    CHECK_AGAIN,
};

enum note_kind {
    NOTE_READ,
    NOTE_WRITE,   /* a mutation that changed something */
    NOTE_NOTHING, /* a mutation that changed nothing, or failed */
};

struct note {
    struct mem *mem;
    struct note *next;
    struct note **place;     /* what points to it */
    struct journal *journal; /* NULL: the journal is gone */
    enum note_kind kind;
    bool failed;  /* the answer is an error */
    bool pending; /* its answer has not come */
    bool on_worker;
    bool stopped;          /* a limit was hit */
    struct digest answer;  /* digest_bytes() of it */
    struct bytes op;       /* behind the struct */
    struct bytes where;    /* a Condition, or empty; the same */
    struct bytes until;    /* Next, as it came in the answer: owned */
    enum note_check check; /* what a commit makes of it */
};

struct journal {
    struct mem *mem;
    struct note *first;
    struct note **end;
    size_t bytes;    /* charged for notes */
    uint64_t writes; /* notes of that kind */
    bool full;       /* JOURNAL_BYTES_MAX was passed: nothing is there */
};

void journal_init(struct journal *journal, struct mem *mem);
void journal_deinit(struct journal *journal);

/*
 * Appends a note without an answer, with copies of `op` and `where`. `*ret` is
 * NULL if the journal is full. ST_NO_MEMORY, ST_MEMORY_LIMIT.
 */
enum status journal_add(struct journal *journal, enum note_kind kind,
                        struct bytes op, struct bytes where, struct note **ret);

/* Takes a note back. NULL is accepted. */
void note_drop(struct note *note);

/*
 * The answer that a read has got after all; empty: it told nothing. The note
 * is the journal's from then on, or gone with it. NULL is accepted.
 * ST_NO_MEMORY, ST_MEMORY_LIMIT: then the answer may not be told.
 */
enum status note_answer(struct note *note, struct bytes answer);

/* The answer is an error, with `count` details of its own: `pairs` as in a map.
 * Errors as above, and the note is gone then. */
enum status note_failed(struct note *note, struct bytes pairs, uint32_t count);

#endif
