#include "cli/json.h"

void json_put_string(struct buffer *out, struct bytes text)
{
    size_t size;
    uint32_t c;

    text_byte(out, '"');
    for (size_t at = 0; at < text.size; at += size) {
        struct bytes rest = bytes_of(text.data + at, text.size - at);

        if (!text_utf8_next(rest, &c, &size)) {
            size = 1;
            c = 0xfffd;
            text_utf8(out, c);
        } else if (c == '"' || c == '\\') {
            text_byte(out, '\\');
            text_byte(out, (char)c);
        } else if (c == '\n') {
            text_append(out, "\\n");
        } else if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 ||
                   c == 0x2029) {
            text_format(out, "\\u%04x", (unsigned)c);
        } else {
            text_bytes(out, bytes_of(rest.data, size));
        }
    }
    text_byte(out, '"');
}

void json_put_u64(struct buffer *out, uint64_t value)
{
    bool quote = value > JSON_INTEGER_MAX;

    if (quote)
        text_byte(out, '"');
    text_u64(out, value);
    if (quote)
        text_byte(out, '"');
}

void json_begin(struct json *json, struct buffer *out)
{
    *json = (struct json){.out = out};
}

/* A comma, unless this is the first here or the value of a key. */
static void before(struct json *json)
{
    if (json->keyed)
        json->keyed = false;
    else if (json->behind[json->depth])
        text_byte(json->out, ',');
    json->behind[json->depth] = true;
}

void json_open(struct json *json, char bracket)
{
    before(json);
    REQUIRE(json->depth + 1 < JSON_DEPTH_MAX);
    json->behind[++json->depth] = false;
    text_byte(json->out, bracket);
}

void json_close(struct json *json, char bracket)
{
    REQUIRE(json->depth > 0);
    json->depth--;
    text_byte(json->out, bracket);
}

void json_key(struct json *json, const char *key)
{
    before(json);
    json_put_string(json->out, bytes_of(key, strlen(key)));
    text_byte(json->out, ':');
    json->keyed = true;
}

void json_bytes(struct json *json, struct bytes text)
{
    before(json);
    json_put_string(json->out, text);
}

void json_text(struct json *json, const char *text)
{
    json_bytes(json, bytes_of(text, strlen(text)));
}

void json_u64(struct json *json, uint64_t value)
{
    before(json);
    json_put_u64(json->out, value);
}

void json_double(struct json *json, double value, int decimals)
{
    before(json);
    text_format(json->out, "%.*f", decimals, value);
}

void json_bool(struct json *json, bool value)
{
    before(json);
    text_append(json->out, value ? "true" : "false");
}

void json_null(struct json *json)
{
    before(json);
    text_append(json->out, "null");
}

void json_raw(struct json *json, struct bytes text)
{
    before(json);
    text_bytes(json->out, text);
}
