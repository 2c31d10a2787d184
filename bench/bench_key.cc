/*
 * bench_key.cc -- what the key encoding costs: external term to key and back,
 * in ns a term, over 4,096 terms of a kind; and bytes a key.
 */
#include <cstdio>

#include "core.h"
#include "harness.h"

using namespace bench;

#define TERMS 4096

/* Writes external terms, as term_to_binary would without its version byte. */
class writer
{
  public:
    std::vector<uint8_t> data;

    void byte(uint64_t value)
    {
        data.push_back((uint8_t)value);
    }
    void big_endian(uint64_t value, unsigned size)
    {
        while (size--)
            byte(value >> (8 * size));
    }
    void integer(uint64_t value)
    {
        if (value < 256) {
            byte(97);
            byte(value);
        } else if (value < 1u << 31) {
            byte(98);
            big_endian(value, 4);
        } else {
            unsigned size = 8 - (unsigned)__builtin_clzll(value) / 8;

            byte(110);
            byte(size);
            byte(0);
            for (unsigned i = 0; i < size; i++)
                byte(value >> (8 * i));
        }
    }
    void atom(const char *name)
    {
        byte(119);
        byte(strlen(name));
        data.insert(data.end(), name, name + strlen(name));
    }
    void binary(const void *bytes, size_t size)
    {
        const uint8_t *begin = (const uint8_t *)bytes;

        byte(109);
        big_endian(size, 4);
        data.insert(data.end(), begin, begin + size);
    }
    void real(double value)
    {
        uint64_t bits;

        memcpy(&bits, &value, sizeof(bits));
        byte(70);
        big_endian(bits, 8);
    }
    void tuple(unsigned arity)
    {
        byte(104);
        byte(arity);
    }
    void list(unsigned size)
    {
        byte(108);
        big_endian(size, 4);
    }
};

static void binary_of(writer &out, splitmix64 &random, size_t size)
{
    uint8_t bytes[512];

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random.next();
    out.binary(bytes, size);
}

static const struct kind {
    const char *name;
    void (*write)(writer &out, splitmix64 &random);
} kinds[] = {
    {"small_int",
     [](writer &out, splitmix64 &random) { out.integer(random.below(100)); }},
    {"int", [](writer &out,
               splitmix64 &random) { out.integer(random.below(10000000)); }},
    {"snowflake",
     [](writer &out, splitmix64 &random) { out.integer(random.next() >> 3); }},
    {"int_pair",
     [](writer &out, splitmix64 &random) {
         out.tuple(2);
         out.integer(random.below(1000000));
         out.integer(random.below(1000000));
     }},
    {"tagged_int",
     [](writer &out, splitmix64 &random) {
         out.tuple(2);
         out.atom("user");
         out.integer(random.below(1000000));
     }},
    {"atom",
     [](writer &out, splitmix64 &random) {
         static const char *const names[] = {"enabled", "pending", "archive",
                                             "deleted"};
         out.atom(names[random.below(4)]);
     }},
    {"text_13",
     [](writer &out, splitmix64 &random) {
         char text[32];
         int size = snprintf(text, sizeof(text), "user:%08u",
                             (unsigned)random.below(1000000));

         out.binary(text, (size_t)size);
     }},
    {"uuid",
     [](writer &out, splitmix64 &random) { binary_of(out, random, 16); }},
    {"uuid_text",
     [](writer &out, splitmix64 &random) {
         char text[48];
         int size = snprintf(
             text, sizeof(text), "%08x-%04x-%04x-%04x-%012llx",
             (unsigned)random.next(), (unsigned)random.next() & 0xffff,
             (unsigned)random.next() & 0xffff, (unsigned)random.next() & 0xffff,
             (unsigned long long)random.next() >> 16);

         out.binary(text, (size_t)size);
     }},
    {"binary_256",
     [](writer &out, splitmix64 &random) { binary_of(out, random, 256); }},
    {"zeros_64",
     [](writer &out, splitmix64 &) {
         uint8_t zeros[64] = {};

         out.binary(zeros, sizeof(zeros));
     }},
    {"float", [](writer &out,
                 splitmix64 &random) { out.real(random.next() / 1e12 + .5); }},
    {"list_5",
     [](writer &out, splitmix64 &random) {
         out.list(5);
         for (int i = 0; i < 5; i++)
             out.integer(1000 + random.below(100000));
         out.byte(106);
     }},
    {"map_2",
     [](writer &out, splitmix64 &random) {
         out.byte(116);
         out.big_endian(2, 4);
         out.atom("name");
         binary_of(out, random, 8);
         out.atom("age");
         out.integer(random.below(100));
     }},
};

static void measure(recorder &recorder, const kind &kind, uint64_t passes)
{
    std::string name = std::string("key_") + kind.name;
    splitmix64 random(42);
    struct mem mem;
    writer out;
    std::vector<size_t> ends;
    std::vector<struct bytes> terms;
    std::vector<struct bytes> keys;
    size_t begin = 0;
    uint64_t began;

    mem_init(&mem, 0);
    struct buffer encoded = {&mem, nullptr, 0, 0};
    struct buffer decoded = {&mem, nullptr, 0, 0};

    for (unsigned i = 0; i < TERMS; i++) {
        kind.write(out, random);
        ends.push_back(out.data.size());
    }
    for (size_t end : ends) {
        terms.push_back(bytes_of(out.data.data() + begin, end - begin));
        begin = end;
    }

    began = cpu_ns();
    for (uint64_t pass = 0; pass < passes; pass++) {
        encoded.size = 0;
        for (const struct bytes &term : terms) {
            if (key_encode(term, &encoded) < 0)
                die("key_encode failed: %s", kind.name);
        }
    }
    recorder.add(name + "_encode", "ns", "ns",
                 (double)(cpu_ns() - began) / (double)(passes * TERMS));
    recorder.add(name + "_bytes", "bytes", "bytes",
                 (double)encoded.size / TERMS);

    for (size_t at = 0; at < encoded.size;) {
        struct bytes rest = bytes_of(encoded.data + at, encoded.size - at);
        size_t size = key_size(rest);

        keys.push_back(bytes_of(rest.data, size));
        at += size;
    }
    if (keys.size() != TERMS)
        die("%s: the keys do not delimit themselves", kind.name);
    began = cpu_ns();
    for (uint64_t pass = 0; pass < passes; pass++) {
        decoded.size = 0;
        for (const struct bytes &key : keys) {
            if (key_decode(key, &decoded) < 0)
                die("key_decode failed: %s", kind.name);
        }
    }
    recorder.add(name + "_decode", "ns", "ns",
                 (double)(cpu_ns() - began) / (double)(passes * TERMS));
}

int main(int argc, char **argv)
{
    options options =
        parse_options(argc, argv, "The key encoding and its reverse.");
    uint64_t passes = options.quick ? 100 : 500;

    for (const kind &kind : kinds) {
        std::string name = std::string("key_") + kind.name;

        if (wanted(options, "key", name + "_encode") ||
            wanted(options, "key", name + "_decode") ||
            wanted(options, "key", name + "_bytes"))
            run_rounds(options, "key", TERMS, options.quick ? 1 : 3,
                       {{"rhizome", [&](recorder &recorder) {
                             measure(recorder, kind, passes);
                         }}});
    }
    return 0;
}
