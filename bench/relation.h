/*
 * relation.h -- one junction of our store, changed as commands change it:
 * begin, insert, commit. Keys are encoded beforehand.
 */
#ifndef RHIZOME_BENCH_RELATION_H
#define RHIZOME_BENCH_RELATION_H

#include "core.h"
#include "harness.h"

namespace bench
{

struct encoded_pair {
    uint8_t first_size;
    uint8_t second_size;
    uint8_t data[14];

    struct bytes first() const
    {
        return bytes_of(data, first_size);
    }
    struct bytes second() const
    {
        return bytes_of(data + first_size, second_size);
    }
};

inline std::vector<encoded_pair> encode_all(const std::vector<pair> &pairs)
{
    struct mem mem;
    std::vector<encoded_pair> keys;

    mem_init(&mem, 0);
    struct buffer scratch = {&mem, nullptr, 0, 0};
    keys.reserve(pairs.size());
    for (const pair &pair : pairs) {
        encoded_pair key = {};

        scratch.size = 0;
        if (key_encode_u64(pair.src, &scratch) < 0)
            die("key_encode_u64 failed");
        key.first_size = (uint8_t)scratch.size;
        if (key_encode_u64(pair.dst, &scratch) < 0)
            die("key_encode_u64 failed");
        key.second_size = (uint8_t)(scratch.size - key.first_size);
        if (scratch.size > sizeof(key.data))
            die("a key does not fit its slot");
        memcpy(key.data, scratch.data, scratch.size);
        keys.push_back(key);
    }
    buffer_free(&scratch);
    return keys;
}

/* One table of our store. */
class relation
{
  public:
    explicit relation(enum table_type type)
    {
        struct store_options options = {};
        struct table_reference none[2] = {};

        if (store_create(&options, &store_) < 0 || create_table(none, type) < 0)
            die("cannot create the table");
    }
    void insert(const encoded_pair &key)
    {
        bool inserted;

        store_begin(store_);
        if (table_insert(store_, table_, SIDE_FWD, key.first(), key.second(),
                         &inserted) < 0)
            die("table_insert failed");
        store_commit(store_);
    }
    bool erase(const encoded_pair &key)
    {
        bool deleted;

        store_begin(store_);
        if (table_delete(store_, table_, SIDE_FWD, key.first(), key.second(),
                         &deleted) < 0)
            die("table_delete failed");
        store_commit(store_);
        return deleted;
    }
    uint64_t count() const
    {
        return table_count(table_);
    }
    size_t account() const
    {
        return table_bytes(table_);
    }
    struct store *store() const
    {
        return store_;
    }
    struct table *table() const
    {
        return table_;
    }

  private:
    enum status create_table(struct table_reference none[2],
                             enum table_type type)
    {
        enum status st;

        store_begin(store_);
        st =
            store_table_create(store_, BYTES("\xA8t\x01"), type, none, &table_);
        store_commit(store_);
        return st;
    }

    struct store *store_;
    struct table *table_;
};

} // namespace bench

#endif
