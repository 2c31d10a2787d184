/*
 * keys.h -- pairs in the form in which a subject takes them, made beforehand.
 *
 *   encoded_ints, encoded_strings   ours: two encoded components, as a table
 *                                   would hand them over
 *   words                           two integers
 *   big_endian                      the same as 16 bytes that sort alike
 *   text, std::string               the 30 bytes of both encodings of the
 *                                   binaries <<"user:00000042">> and
 *                                   <<"item:00000007">>
 */
#ifndef RHIZOME_BENCH_KEYS_H
#define RHIZOME_BENCH_KEYS_H

#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core.h"
#include "harness.h"

namespace bench
{

/* Ours: two encoded components side by side. */
template <size_t SIZE> struct encoded_key {
    uint8_t first_size;
    uint8_t second_size;
    uint8_t data[SIZE - 2];

    struct bytes first() const
    {
        return bytes_of(data, first_size);
    }
    struct bytes second() const
    {
        return bytes_of(data + first_size, second_size);
    }
    struct tree_key view() const
    {
        return {first(), second()};
    }
    bool operator<(const encoded_key &other) const
    {
        int order = bytes_compare(first(), other.first());

        return order ? order < 0 : bytes_compare(second(), other.second()) < 0;
    }
};

using encoded_ints = encoded_key<16>;
using encoded_strings = encoded_key<32>;
using words = std::pair<uint64_t, uint64_t>;

template <size_t SIZE> struct fixed_bytes {
    uint8_t data[SIZE];

    bool operator<(const fixed_bytes &other) const
    {
        return memcmp(data, other.data, SIZE) < 0;
    }
    bool operator==(const fixed_bytes &other) const
    {
        return memcmp(data, other.data, SIZE) == 0;
    }
};

using big_endian = fixed_bytes<16>;
using text = fixed_bytes<30>;

inline void encode_string(const char *format, uint64_t value,
                          struct buffer *out)
{
    uint8_t term[32] = {109, 0, 0, 0, 0}; /* BINARY_EXT */
    int size = snprintf((char *)term + 5, sizeof(term) - 5, format,
                        (unsigned long long)value);

    store_be32(term + 1, (uint32_t)size);
    if (key_encode(bytes_of(term, 5 + (size_t)size), out) < 0)
        die("key_encode failed");
}

template <size_t SIZE>
encoded_key<SIZE> encode(const pair &pair, struct buffer *scratch)
{
    encoded_key<SIZE> key = {};
    size_t first_size;

    scratch->size = 0;
    if (SIZE == sizeof(encoded_ints)) {
        if (key_encode_u64(pair.src, scratch) < 0)
            die("key_encode_u64 failed");
        first_size = scratch->size;
        if (key_encode_u64(pair.dst, scratch) < 0)
            die("key_encode_u64 failed");
    } else {
        encode_string("user:%08llu", pair.src, scratch);
        first_size = scratch->size;
        encode_string("item:%08llu", pair.dst, scratch);
    }
    if (scratch->size > sizeof(key.data))
        die("a key does not fit its slot");
    key.first_size = (uint8_t)first_size;
    key.second_size = (uint8_t)(scratch->size - first_size);
    memcpy(key.data, scratch->data, scratch->size);
    return key;
}

template <class KEY> struct convert;

template <size_t SIZE> struct convert<encoded_key<SIZE>> {
    static encoded_key<SIZE> from(const pair &pair, struct buffer *scratch)
    {
        return encode<SIZE>(pair, scratch);
    }
};

template <> struct convert<words> {
    static words from(const pair &pair, struct buffer *)
    {
        return {pair.src, pair.dst};
    }
};

template <> struct convert<big_endian> {
    static big_endian from(const pair &pair, struct buffer *)
    {
        big_endian key;

        store_be64(key.data, pair.src);
        store_be64(key.data + 8, pair.dst);
        return key;
    }
};

template <> struct convert<text> {
    static text from(const pair &pair, struct buffer *)
    {
        char room[32];
        text key;

        snprintf(room, sizeof(room), "\xD4user:%08u\x01\xD4item:%08u\x01",
                 (unsigned)pair.src, (unsigned)pair.dst);
        memcpy(key.data, room, sizeof(key.data));
        return key;
    }
};

template <> struct convert<std::string> {
    static std::string from(const pair &pair, struct buffer *scratch)
    {
        text key = convert<text>::from(pair, scratch);

        return std::string((const char *)key.data, sizeof(key.data));
    }
};

template <class KEY>
std::vector<KEY> convert_all(const std::vector<pair> &pairs)
{
    struct mem mem;
    std::vector<KEY> keys;

    mem_init(&mem, 0);
    struct buffer scratch = {&mem, nullptr, 0, 0};
    keys.reserve(pairs.size());
    for (const pair &pair : pairs)
        keys.push_back(convert<KEY>::from(pair, &scratch));
    buffer_free(&scratch);
    return keys;
}

} // namespace bench

#endif
