/*
 * relation.h -- one junction of our store, changed as commands change it:
 * begin, insert, commit. Keys are encoded beforehand.
 */
#ifndef RHIZOME_BENCH_RELATION_H
#define RHIZOME_BENCH_RELATION_H

#include "keys.h"

namespace bench
{

using encoded_pair = encoded_ints;

inline std::vector<encoded_pair> encode_all(const std::vector<pair> &pairs)
{
    return convert_all<encoded_pair>(pairs);
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
