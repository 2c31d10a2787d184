/*
 * json.h -- JSON text, piece by piece.
 *
 * Integers beyond 2^53 become strings: what reads JSON into doubles (jq,
 * JavaScript) would change them without a word. Text is UTF-8; bytes that are
 * not come out as U+FFFD, so that the result is JSON whatever came in.
 */
#ifndef RHIZOME_CLI_JSON_H
#define RHIZOME_CLI_JSON_H

#include "cli/text.h"

#define JSON_INTEGER_MAX ((uint64_t)1 << 53)
#define JSON_DEPTH_MAX 16

/* A value under construction: puts the commas. */
struct json {
    struct buffer *out;
    unsigned depth;
    bool behind[JSON_DEPTH_MAX]; /* something stands here already */
    bool keyed;                  /* the value of a key comes next */
};

void json_begin(struct json *json, struct buffer *out);
void json_open(struct json *json, char bracket);  /* { or [ */
void json_close(struct json *json, char bracket); /* } or ] */
void json_key(struct json *json, const char *key);
void json_text(struct json *json, const char *text);
void json_bytes(struct json *json, struct bytes text);
void json_u64(struct json *json, uint64_t value);
void json_double(struct json *json, double value, int decimals);
void json_bool(struct json *json, bool value);
void json_null(struct json *json);
/* A value that is JSON already. */
void json_raw(struct json *json, struct bytes text);

/* The same without a struct json, for those who put commas themselves. */
void json_put_string(struct buffer *out, struct bytes text);
void json_put_u64(struct buffer *out, uint64_t value);

#endif
