#include "cli/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"
#include "core/exit.h"

struct mem *cli_mem(void)
{
    static struct mem mem;

    if (!mem.limit)
        mem_init(&mem, 0);
    return &mem;
}

void text_no_memory(void)
{
    complain("the operating system gave no memory; stop other programs or "
             "use a larger machine");
    exit(EXIT_NO_MEMORY);
}

/* Room for `size` more bytes behind the text. */
static char *reserve(struct buffer *out, size_t size)
{
    if (buffer_reserve(out, size) < 0)
        text_no_memory();
    return (char *)out->data + out->size;
}

void text_bytes(struct buffer *out, struct bytes bytes)
{
    if (buffer_append(out, bytes) < 0)
        text_no_memory();
}

void text_append(struct buffer *out, const char *text)
{
    text_bytes(out, bytes_of(text, strlen(text)));
}

void text_byte(struct buffer *out, char byte)
{
    *reserve(out, 1) = byte;
    out->size++;
}

void text_u64(struct buffer *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    text_bytes(out, bytes_of(digits + at, sizeof(digits) - at));
}

void text_format(struct buffer *out, const char *format, ...)
{
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0)
        return;
    reserve(out, (size_t)size + 1);
    va_start(arguments, format);
    vsnprintf((char *)out->data + out->size, (size_t)size + 1, format,
              arguments);
    va_end(arguments);
    out->size += (size_t)size;
}

void text_hex(struct buffer *out, struct bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *at = reserve(out, 2 * bytes.size);

    for (size_t i = 0; i < bytes.size; i++) {
        *at++ = digits[bytes.data[i] >> 4];
        *at++ = digits[bytes.data[i] & 15];
    }
    out->size += 2 * bytes.size;
}

void text_utf8(struct buffer *out, uint32_t c)
{
    if (c < 0x80) {
        text_byte(out, (char)c);
    } else if (c < 0x800) {
        text_byte(out, (char)(0xc0 | c >> 6));
        text_byte(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        text_byte(out, (char)(0xe0 | c >> 12));
        text_byte(out, (char)(0x80 | (c >> 6 & 0x3f)));
        text_byte(out, (char)(0x80 | (c & 0x3f)));
    } else {
        text_byte(out, (char)(0xf0 | c >> 18));
        text_byte(out, (char)(0x80 | (c >> 12 & 0x3f)));
        text_byte(out, (char)(0x80 | (c >> 6 & 0x3f)));
        text_byte(out, (char)(0x80 | (c & 0x3f)));
    }
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

void text_word(struct buffer *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+:@%,";
    bool control = false;

    if (*word && strspn(word, plain) == strlen(word)) {
        text_append(out, word);
        return;
    }
    for (const char *at = word; *at; at++)
        control |= is_control(*at);
    text_append(out, control ? "$'" : "'");
    for (; *word; word++) {
        if (control && is_control(*word))
            text_format(out, "\\%03o", (unsigned char)*word);
        else if (control && (*word == '\'' || *word == '\\'))
            text_format(out, "\\%c", *word);
        else if (*word == '\'')
            text_append(out, "'\\''");
        else
            text_byte(out, *word);
    }
    text_byte(out, '\'');
}

void text_path(struct buffer *out, const char *path)
{
    struct buffer full = BUFFER(cli_mem());

    text_append(&full, *path == '-' ? "./" : "");
    text_append(&full, path);
    text_word(out, text_string(&full));
    buffer_free(&full);
}

void text_visible(struct buffer *out, const char *text)
{
    for (; *text; text++)
        text_byte(out, is_control(*text) ? '?' : *text);
}

const char *text_string(struct buffer *out)
{
    *reserve(out, 1) = '\0';
    return (const char *)out->data;
}

bool text_utf8_next(struct bytes bytes, uint32_t *ret, size_t *ret_size)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = bytes.data[0];
    size_t size = first < 0x80   ? 1
                  : first < 0xc0 ? 0
                  : first < 0xe0 ? 2
                  : first < 0xf0 ? 3
                  : first < 0xf8 ? 4
                                 : 0;
    uint32_t c = size < 2 ? first : first & (0x7fu >> size);

    if (!size || size > bytes.size)
        return false;
    for (size_t i = 1; i < size; i++) {
        if ((bytes.data[i] & 0xc0) != 0x80)
            return false;
        c = c << 6 | (bytes.data[i] & 0x3f);
    }
    if (c < lowest[size] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return false;
    *ret = c;
    *ret_size = size;
    return true;
}

bool text_is_utf8(struct bytes bytes)
{
    uint32_t character;
    size_t size;

    for (size_t at = 0; at < bytes.size; at += size) {
        if (!text_utf8_next(bytes_of(bytes.data + at, bytes.size - at),
                            &character, &size))
            return false;
    }
    return true;
}
