/*
 * writer.c -- a frame that grows reply by reply.
 *
 *   0      4    5       10                                        size
 *   | len  |131 | 108 n | {Id, <<131, answer>>} {Id, <<131, ans ...
 *                         ^ reply        ^ answer
 *
 * Three numbers are known only afterwards and patched into their places: the
 * length of an answer's binary, the number of replies, the length of the
 * frame. Their fields have a fixed width for it: LIST and BINARY with 32
 * bits, where term_to_binary would do the same.
 *
 * ei writes integers and headers into room reserved before; ei_x_encode_*
 * would encode everything twice and grow by 200 bytes at a time. Atoms are
 * written by hand, because ei emits the Latin-1 form that is deprecated.
 */
#include "port/writer.h"

#include <ei.h>
#include <math.h>

#include "core/etf.h"
#include "core/key.h"

/* Length, version byte, LIST header; and what closes a frame: NIL. */
#define FRAME_PROLOGUE_BYTES 10

/* More than an idle writer keeps. */
#define WRITER_KEEP_BYTES (256u << 10)

/* The longest integer: SMALL_BIG of 8 digits. */
#define INTEGER_BYTES_MAX 16

void writer_init(struct writer *writer, struct mem *mem, size_t answer_max)
{
    memset(writer, 0, sizeof(*writer));
    writer->out = BUFFER(mem);
    writer->answer_max = answer_max;
}

void writer_deinit(struct writer *writer)
{
    buffer_free(&writer->out);
}

/* Room for `extra` bytes, or NULL and a status that stays. */
static uint8_t *writer_room(struct writer *writer, size_t extra)
{
    enum status st;

    if (writer->status < 0)
        return NULL;
    st = buffer_reserve(&writer->out, extra);
    if (st < 0) {
        writer->status = st;
        return NULL;
    }
    return writer->out.data + writer->out.size;
}

static void writer_byte(struct writer *writer, uint8_t byte)
{
    writer->out.data[writer->out.size++] = byte;
}

/* Opens the frame with the first reply in it; reserves for a whole reply. */
static enum status writer_open(struct writer *writer)
{
    enum status st;

    writer->status = ST_OK;
    st = buffer_reserve(&writer->out, WRITER_ERROR_BYTES_MAX +
                                          FRAME_PROLOGUE_BYTES +
                                          INTEGER_BYTES_MAX + 16);
    if (st < 0)
        return st;
    if (writer->out.size == 0) {
        writer->out.size = FRAME_PROLOGUE_BYTES;
        writer->replies = 0;
    }
    writer->reply = writer->out.size;
    put_tuple(writer, 2);
    return ST_OK;
}

enum status writer_reply_begin(struct writer *writer, int64_t id)
{
    enum status st = writer_open(writer);

    if (st < 0)
        return st;
    put_i64(writer, id);
    writer_byte(writer, ETF_BINARY);
    writer->out.size += 4;
    writer_byte(writer, ETF_VERSION);
    writer->answer = writer->out.size;
    return ST_OK;
}

void writer_reply_reset(struct writer *writer)
{
    writer->out.size = writer->answer;
    writer->status = ST_OK;
    writer->answer_limited = false; /* an error answer is small */
}

void writer_reply_end(struct writer *writer)
{
    uint8_t *answer = writer->out.data + writer->answer;
    size_t size = writer->out.size - writer->answer + 1;

    REQUIRE(writer->status == ST_OK && size <= UINT32_MAX);
    store_be32(answer - 5, (uint32_t)size);
    writer->replies++;
}

void writer_reply_drop(struct writer *writer)
{
    writer->status = ST_OK;
    writer->out.size = writer->replies ? writer->reply : 0;
}

struct bytes writer_reply_withdraw(struct writer *writer)
{
    struct bytes reply = bytes_of(writer->out.data + writer->reply,
                                  writer->out.size - writer->reply);

    REQUIRE(writer->replies > 0);
    writer->replies--;
    writer_reply_drop(writer);
    return reply;
}

enum status writer_reply_add(struct writer *writer, struct bytes reply)
{
    enum status st = writer_open(writer);

    if (st < 0)
        return st;
    writer->out.size = writer->reply; /* the reply has its own header */
    put_term(writer, reply);
    writer->answer_limited = false;
    st = writer_status(writer);
    if (st < 0)
        writer_reply_drop(writer);
    else
        writer->replies++;
    return st;
}

enum status writer_event_begin(struct writer *writer, const char *name)
{
    enum status st = writer_open(writer);

    if (st < 0)
        return st;
    put_atom(writer, name);
    writer->answer = writer->out.size;
    writer->answer_limited = false;
    return ST_OK;
}

void writer_event_end(struct writer *writer)
{
    REQUIRE(writer->status == ST_OK);
    writer->replies++;
}

/* One that has failed from the start, and does not say so. */
void writer_discard(struct writer *writer, bool discard)
{
    writer->discards = discard;
    writer->status = discard ? ST_TOO_BIG : ST_OK;
}

enum status writer_status(struct writer *writer)
{
    if (writer->discards)
        return ST_OK;
    if (writer->status < 0)
        return writer->status;
    if (writer->answer_limited &&
        writer->out.size - writer->answer > writer->answer_max)
        writer->status = ST_TOO_BIG;
    else /* writer_frame() must find a byte for its NIL */
        writer->status = buffer_reserve(&writer->out, 1);
    return writer->status;
}

struct bytes writer_frame(struct writer *writer)
{
    struct buffer *out = &writer->out;

    if (out->size == 0 || writer->replies == 0)
        return bytes_of(NULL, 0);
    /* writer_status() of the last reply has left room for this byte. */
    REQUIRE(out->size < out->capacity);
    writer_byte(writer, ETF_NIL);
    REQUIRE(out->size - FRAME_PROLOGUE_BYTES <= UINT32_MAX / 2);
    store_be32(out->data, (uint32_t)(out->size - 4));
    out->data[4] = ETF_VERSION;
    out->data[5] = ETF_LIST;
    store_be32(out->data + 6, writer->replies);
    return buffer_bytes(out);
}

void writer_clear(struct writer *writer)
{
    writer->out.size = 0;
    writer->replies = 0;
    if (writer->out.capacity > WRITER_KEEP_BYTES)
        buffer_free(&writer->out);
}

struct buffer writer_take(struct writer *writer)
{
    struct buffer taken = writer->out;

    writer->out = BUFFER(taken.mem);
    writer->replies = 0;
    return taken;
}

void put_tuple(struct writer *writer, uint32_t arity)
{
    uint8_t *room = writer_room(writer, 5);
    int index = 0;

    if (!room)
        return;
    ei_encode_tuple_header((char *)room, &index, (int)arity);
    writer->out.size += (size_t)index;
}

void put_map(struct writer *writer, uint32_t count)
{
    uint8_t *room = writer_room(writer, 5);
    int index = 0;

    if (!room)
        return;
    ei_encode_map_header((char *)room, &index, (int)count);
    writer->out.size += (size_t)index;
}

void put_atom(struct writer *writer, const char *name)
{
    size_t size = strlen(name);
    uint8_t *room = writer_room(writer, 2 + size);

    if (!room)
        return;
    REQUIRE(size <= UINT8_MAX);
    room[0] = ETF_SMALL_ATOM_UTF8;
    room[1] = (uint8_t)size;
    memcpy(room + 2, name, size);
    writer->out.size += 2 + size;
}

void put_bool(struct writer *writer, bool value)
{
    put_atom(writer, value ? "true" : "false");
}

void put_i64(struct writer *writer, int64_t value)
{
    uint8_t *room = writer_room(writer, INTEGER_BYTES_MAX);
    int index = 0;

    if (!room)
        return;
    ei_encode_longlong((char *)room, &index, value);
    writer->out.size += (size_t)index;
}

void put_u64(struct writer *writer, uint64_t value)
{
    uint8_t *room = writer_room(writer, INTEGER_BYTES_MAX);
    int index = 0;

    if (!room)
        return;
    ei_encode_ulonglong((char *)room, &index, value);
    writer->out.size += (size_t)index;
}

void put_float(struct writer *writer, double value)
{
    uint8_t term[9] = {ETF_NEW_FLOAT};
    uint64_t bits;

    if (isnan(value)) {
        put_atom(writer, "nil");
        return;
    }
    if (isinf(value)) {
        put_atom(writer, value > 0 ? "infinity" : "neg_infinity");
        return;
    }
    memcpy(&bits, &value, sizeof(bits));
    store_be64(term + 1, bits);
    put_term(writer, bytes_of(term, sizeof(term)));
}

void put_binary(struct writer *writer, struct bytes bytes)
{
    uint8_t *room = writer_room(writer, 5 + bytes.size);

    if (!room)
        return;
    room[0] = ETF_BINARY;
    store_be32(room + 1, (uint32_t)bytes.size);
    if (bytes.size)
        memcpy(room + 5, bytes.data, bytes.size);
    writer->out.size += 5 + bytes.size;
}

void put_term(struct writer *writer, struct bytes term)
{
    uint8_t *room = writer_room(writer, term.size);

    if (!room || !term.size)
        return;
    memcpy(room, term.data, term.size);
    writer->out.size += term.size;
}

void put_key(struct writer *writer, struct bytes key)
{
    if (writer->status == ST_OK)
        writer->status = key_decode(key, &writer->out);
}

size_t put_list_begin(struct writer *writer)
{
    size_t header = writer->out.size;

    if (writer_room(writer, 5))
        writer->out.size += 5;
    return header;
}

void put_list_end(struct writer *writer, size_t header, uint64_t count)
{
    if (!writer_room(writer, 1))
        return;
    if (count == 0) {
        writer->out.size = header;
    } else if (count > UINT32_MAX) {
        writer->status = ST_TOO_BIG;
        return;
    } else {
        writer->out.data[header] = ETF_LIST;
        store_be32(writer->out.data + header + 1, (uint32_t)count);
    }
    writer_byte(writer, ETF_NIL);
}

void put_truncate(struct writer *writer, size_t size)
{
    if (writer->status == ST_OK)
        writer->out.size = size;
}
