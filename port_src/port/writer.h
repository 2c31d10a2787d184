/*
 * writer.h -- replies on their way out, gathered into one frame.
 *
 * A reply is begun, its answer put, and it is ended; any number of them make
 * a frame. An answer is built in place: nothing is encoded twice or copied.
 *
 *     writer_reply_begin(w, id)      room for an error answer is certain now
 *     put_tuple(w, 2) put_atom(w, "ok") put_u64(w, 7)
 *     writer_reply_end(w)
 *
 * The put functions return nothing. The first failure is kept and all later
 * ones do nothing, so that a handler looks once, at writer_status().
 *
 * A reply that must wait is withdrawn from the frame when it is complete and
 * added to a later one, by the bytes that it has.
 */
#ifndef RHIZOME_PORT_WRITER_H
#define RHIZOME_PORT_WRITER_H

#include "core/buffer.h"

/* An error answer fits into this, and room for one is kept free. */
#define WRITER_ERROR_BYTES_MAX 2048

struct writer {
    struct buffer out; /* empty, or a frame under construction */
    uint32_t replies;  /* complete ones in `out` */
    size_t reply;      /* where the running reply starts */
    size_t answer;     /* where its answer starts */
    size_t answer_max; /* ST_TOO_BIG beyond, if `answer_limited` */
    bool answer_limited;
    bool discards;      /* writer_discard() */
    enum status status; /* of the running answer */
};

void writer_init(struct writer *writer, struct mem *mem, size_t answer_max);
void writer_deinit(struct writer *writer);

/*
 * Starts the reply to request `id`. Errors: ST_NO_MEMORY, and no reply is
 * begun. After success writer_reply_reset() and an error answer of at most
 * WRITER_ERROR_BYTES_MAX cannot fail.
 */
enum status writer_reply_begin(struct writer *writer, int64_t id);

/* Forgets the answer so far: another one follows. */
void writer_reply_reset(struct writer *writer);

/* Completes the reply, after writer_status() has given ST_OK for it. */
void writer_reply_end(struct writer *writer);

/* Forgets a reply or an event that was begun and is not complete. */
void writer_reply_drop(struct writer *writer);

/* Takes the reply that was just completed out of the frame again. Its bytes
 * stay until something is put. */
struct bytes writer_reply_withdraw(struct writer *writer);

/* Adds a reply that was withdrawn. Errors: ST_NO_MEMORY. */
enum status writer_reply_add(struct writer *writer, struct bytes reply);

/* Adds an event `{Name, Term}` in place of a reply: begin, put Term, end. */
enum status writer_event_begin(struct writer *writer, const char *name);
void writer_event_end(struct writer *writer);

/* ST_NO_MEMORY, or ST_TOO_BIG beyond `answer_max`, or ST_OK so far. O(1). */
enum status writer_status(struct writer *writer);

/*
 * Closes the frame that the replies so far make and lends it out, length and
 * all; empty if there is none. Then writer_clear() starts a new one, or
 * writer_take() passes the memory on.
 */
struct bytes writer_frame(struct writer *writer);

/* Empties it, and gives the memory back if it is much. */
void writer_clear(struct writer *writer);

/* Moves the buffer out; the caller owns it. The writer is empty then. */
struct buffer writer_take(struct writer *writer);

/* Bytes of the frame under construction. */
static inline size_t writer_size(const struct writer *writer)
{
    return writer->out.size;
}

/*
 * Discarding, nothing is put and every answer is fine: for commands that are
 * carried out again and whose answers nobody reads.
 */
void writer_discard(struct writer *writer, bool discard);

/* Terms. Names of atoms are ASCII, 255 bytes at most. */
void put_tuple(struct writer *writer, uint32_t arity);
void put_map(struct writer *writer, uint32_t count);
void put_atom(struct writer *writer, const char *name);
void put_bool(struct writer *writer, bool value);
void put_i64(struct writer *writer, int64_t value);
void put_u64(struct writer *writer, uint64_t value);

/* A float; an infinity is the atom infinity or neg_infinity, NaN nil. */
void put_float(struct writer *writer, double value);

void put_binary(struct writer *writer, struct bytes bytes);

/* An external term as it is (a value), and an encoded key as a term. */
void put_term(struct writer *writer, struct bytes term);
void put_key(struct writer *writer, struct bytes key);

/* A list whose length is told at its end: the place of its header. */
size_t put_list_begin(struct writer *writer);
void put_list_end(struct writer *writer, size_t header, uint64_t count);

/* Takes back everything from `size`, a former writer_size(), on. */
void put_truncate(struct writer *writer, size_t size);

#endif
