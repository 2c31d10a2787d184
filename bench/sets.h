/*
 * sets.h -- ordered sets of pairs, all with the same functions: ours and those
 * that it is held against. bench_tree.cc says what is asked of them.
 */
#ifndef RHIZOME_BENCH_SETS_H
#define RHIZOME_BENCH_SETS_H

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

#include <lmdb.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/container/btree_set.h"

#include "keys.h"

namespace bench
{

/*
 * What a subject offers. The defaults say what it cannot do; bytes() is 0
 * where the resident set tells.
 */
struct subject_base {
    static constexpr bool can_delete = true;
    static constexpr bool can_rank = false;
    static constexpr bool can_build = false;
    static constexpr bool can_insert = true; /* one by one */
    void finish()
    {
    }
    size_t account() const
    {
        return 0;
    }
    size_t bytes() const
    {
        return 0;
    }
};

template <size_t SIZE> class rhizome : public subject_base
{
  public:
    using key = encoded_key<SIZE>;
    static constexpr bool can_rank = true;
    static constexpr bool can_build = true;

    rhizome()
    {
        mem_init(&mem_, 0);
        epochs_init(&epochs_, &mem_);
        tree_init(&tree_, &epochs_);
        entry_ = {};
        entry_.buffer.mem = &mem_;
    }
    void insert(const key &key)
    {
        struct tree_change change;

        if (tree_add(&tree_, key.view(), bytes_of(nullptr, 0), &change) < 0)
            die("tree_add failed");
    }
    bool contains(const key &key)
    {
        return tree_get(&tree_.root, key.view(), nullptr);
    }
    bool erase(const key &key)
    {
        struct tree_change change;

        if (tree_delete(&tree_, key.view(), nullptr, &change) < 0)
            die("tree_delete failed");
        return change.existed;
    }
    /* Page by page, as a projection reads: eight bytes of each row. */
    uint64_t scan(uint64_t *sum)
    {
        struct tree_cursor cursor;
        struct tree_run run;
        uint64_t count = 0;

        tree_cursor_select(&cursor, &tree_.root, 0);
        while (cursor.depth > 0) {
            if (tree_cursor_run(&cursor, &run)) {
                const uint8_t *row = run.rows;

                for (uint32_t i = 0; i < run.count; i++, row += run.stride)
                    *sum += load_be64(row);
                count += run.count;
                tree_cursor_skip_run(&cursor);
                continue;
            }
            if (tree_cursor_read(&cursor, &entry_) < 0)
                die("tree_cursor_read failed");
            *sum += entry_.key.second.data[0];
            count++;
            tree_cursor_next(&cursor);
        }
        return count;
    }
    uint64_t rebuild(uint64_t *sum)
    {
        struct tree_cursor cursor;
        uint64_t count = 0;

        if (!tree_cursor_select(&cursor, &tree_.root, 0))
            return 0;
        do {
            if (tree_cursor_read(&cursor, &entry_) < 0)
                die("tree_cursor_read failed");
            *sum += entry_.key.second.data[entry_.key.second.size - 1];
            count++;
        } while (tree_cursor_next(&cursor));
        return count;
    }
    uint64_t range(const key &key, uint64_t *sum)
    {
        struct tree_cut cut = {{key.view().first, bytes_of(nullptr, 0)}, false};
        struct tree_cursor cursor;
        uint64_t count = 0;

        if (!tree_cursor_seek(&cursor, &tree_.root, cut, nullptr))
            return 0;
        do {
            if (tree_cursor_read(&cursor, &entry_) < 0)
                die("tree_cursor_read failed");
            if (!bytes_equal(entry_.key.first, cut.key.first))
                break;
            *sum += entry_.key.second.data[entry_.key.second.size - 1];
            count++;
        } while (tree_cursor_next(&cursor));
        return count;
    }
    uint64_t rank(const key &key)
    {
        return tree_rank(&tree_.root, {key.view(), false});
    }
    void build(const std::vector<key> &keys)
    {
        struct tree_builder *builder;

        if (tree_builder_create(&tree_, &builder) < 0)
            die("tree_builder_create failed");
        for (const key &key : keys) {
            if (tree_builder_add(builder, key.view(), bytes_of(nullptr, 0)) < 0)
                die("tree_builder_add failed");
        }
        if (tree_builder_finish(builder) < 0)
            die("tree_builder_finish failed");
    }
    uint64_t count() const
    {
        return tree_.root.count;
    }
    size_t account() const
    {
        return tree_.bytes;
    }

  private:
    struct mem mem_;
    struct epochs epochs_;
    struct tree tree_;
    struct tree_entry entry_;
};

/* "Reading" a key in a scan: both words, or a byte that tells keys apart. */
inline uint64_t read_key(const words &key)
{
    return key.first + key.second;
}

inline uint64_t read_key(const std::string &key)
{
    return (uint8_t)key[key.size() - 2];
}

inline uint64_t read_key(const text &key)
{
    return key.data[sizeof(key.data) - 2];
}

inline words source_of(const words &key)
{
    return {key.first, 0};
}

inline std::string source_of(const std::string &key)
{
    return key.substr(0, 15);
}

inline text source_of(const text &key)
{
    text source = {};

    memcpy(source.data, key.data, sizeof(source.data) / 2);
    return source;
}

inline bool same_source(const words &key, const words &source)
{
    return key.first == source.first;
}

inline bool same_source(const std::string &key, const std::string &source)
{
    return !memcmp(key.data(), source.data(), source.size());
}

inline bool same_source(const text &key, const text &source)
{
    return !memcmp(key.data, source.data, sizeof(source.data) / 2);
}

template <class SET> class node_set : public subject_base
{
  public:
    using key = typename SET::key_type;

    void insert(const key &key)
    {
        set_.insert(key);
    }
    bool contains(const key &key)
    {
        return set_.find(key) != set_.end();
    }
    bool erase(const key &key)
    {
        return set_.erase(key) > 0;
    }
    uint64_t scan(uint64_t *sum)
    {
        for (const key &key : set_)
            *sum += read_key(key);
        return set_.size();
    }
    uint64_t rebuild(uint64_t *)
    {
        return 0;
    }
    uint64_t range(const key &probe, uint64_t *sum)
    {
        key source = source_of(probe);
        uint64_t count = 0;

        for (auto it = set_.lower_bound(source);
             it != set_.end() && same_source(*it, source); ++it) {
            *sum += read_key(*it);
            count++;
        }
        return count;
    }
    uint64_t count() const
    {
        return set_.size();
    }

  private:
    SET set_;
};

/* Append and sort once: no updates, but the least that a scan can cost. */
template <class KEY> class sorted_array : public subject_base
{
  public:
    using key = KEY;
    static constexpr bool can_delete = false;
    static constexpr bool can_insert = false;
    static constexpr bool can_rank = true;

    void insert(const key &key)
    {
        array_.push_back(key);
    }
    void finish()
    {
        std::sort(array_.begin(), array_.end());
        array_.erase(std::unique(array_.begin(), array_.end()), array_.end());
        array_.shrink_to_fit();
    }
    bool contains(const key &key)
    {
        return std::binary_search(array_.begin(), array_.end(), key);
    }
    bool erase(const key &)
    {
        return false;
    }
    uint64_t scan(uint64_t *sum)
    {
        for (const key &key : array_)
            *sum += read_key(key);
        return array_.size();
    }
    uint64_t rebuild(uint64_t *)
    {
        return 0;
    }
    uint64_t range(const key &probe, uint64_t *sum)
    {
        key source = source_of(probe);
        uint64_t count = 0;

        for (auto it = std::lower_bound(array_.begin(), array_.end(), source);
             it != array_.end() && same_source(*it, source); ++it) {
            *sum += read_key(*it);
            count++;
        }
        return count;
    }
    uint64_t rank(const key &key)
    {
        return (uint64_t)(std::lower_bound(array_.begin(), array_.end(), key) -
                          array_.begin());
    }
    uint64_t count() const
    {
        return array_.size();
    }

  private:
    std::vector<key> array_;
};

/*
 * LMDB on tmpfs with MDB_WRITEMAP | MDB_NOSYNC and a commit every million:
 * as near to memory as it gets. Its bytes are the pages in use.
 */
template <class KEY> class lmdb : public subject_base
{
  public:
    using key = KEY;

    lmdb()
    {
        char path[] = "/dev/shm/rhizome-bench-XXXXXX";

        if (!mkdtemp(path))
            die("mkdtemp: %s", strerror(errno));
        check(mdb_env_create(&env_));
        check(mdb_env_set_mapsize(env_, (size_t)8 << 30));
        check(mdb_env_open(env_, path, MDB_WRITEMAP | MDB_NOSYNC | MDB_NOLOCK,
                           0600));
        /* The map keeps the file; nothing is left behind if we die. */
        unlink((std::string(path) + "/data.mdb").c_str());
        rmdir(path);
        begin(0);
        check(mdb_dbi_open(txn_, nullptr, 0, &dbi_));
    }
    void insert(const key &key)
    {
        MDB_val name = value_of(key);
        MDB_val none = {0, nullptr};

        check(mdb_put(txn_, dbi_, &name, &none, 0));
        if (++writes_ % 1000000 == 0)
            commit();
    }
    void finish()
    {
        commit();
        mdb_txn_abort(txn_);
        begin(MDB_RDONLY);
        reading_ = true;
        check(mdb_cursor_open(txn_, dbi_, &cursor_));
    }
    bool contains(const key &key)
    {
        MDB_val name = value_of(key);
        MDB_val value;

        return mdb_get(txn_, dbi_, &name, &value) == 0;
    }
    bool erase(const key &key)
    {
        MDB_val name = value_of(key);

        if (reading_) {
            mdb_cursor_close(cursor_);
            mdb_txn_abort(txn_);
            begin(0);
            reading_ = false;
        }
        if (++writes_ % 1000000 == 0)
            commit();
        return mdb_del(txn_, dbi_, &name, nullptr) == 0;
    }
    uint64_t scan(uint64_t *sum)
    {
        MDB_val name;
        MDB_val value;
        uint64_t count = 0;

        while (!mdb_cursor_get(cursor_, &name, &value,
                               count ? MDB_NEXT : MDB_FIRST)) {
            *sum += ((const uint8_t *)name.mv_data)[name.mv_size - 2];
            count++;
        }
        return count;
    }
    uint64_t rebuild(uint64_t *)
    {
        return 0;
    }
    uint64_t range(const key &key, uint64_t *sum)
    {
        MDB_val probe = value_of(key);
        size_t size = probe.mv_size / 2;
        MDB_val name = {size, probe.mv_data};
        MDB_val value;
        uint64_t count = 0;

        for (int st = mdb_cursor_get(cursor_, &name, &value, MDB_SET_RANGE);
             !st && !memcmp(name.mv_data, probe.mv_data, size);
             st = mdb_cursor_get(cursor_, &name, &value, MDB_NEXT)) {
            *sum += ((const uint8_t *)name.mv_data)[name.mv_size - 2];
            count++;
        }
        return count;
    }
    uint64_t count() const
    {
        MDB_stat stat;

        mdb_stat(txn_, dbi_, &stat);
        return stat.ms_entries;
    }
    size_t bytes() const
    {
        MDB_stat stat;

        mdb_stat(txn_, dbi_, &stat);
        return (stat.ms_branch_pages + stat.ms_leaf_pages +
                stat.ms_overflow_pages) *
               stat.ms_psize;
    }

  private:
    static void check(int status)
    {
        if (status)
            die("lmdb: %s", mdb_strerror(status));
    }
    static MDB_val value_of(const key &key)
    {
        return {sizeof(key.data), (void *)key.data};
    }
    void begin(unsigned flags)
    {
        check(mdb_txn_begin(env_, nullptr, flags, &txn_));
    }
    void commit()
    {
        check(mdb_txn_commit(txn_));
        begin(0);
    }

    MDB_env *env_;
    MDB_txn *txn_;
    MDB_dbi dbi_;
    MDB_cursor *cursor_ = nullptr;
    uint64_t writes_ = 0;
    bool reading_ = false;
};

/*
 * SQLite in memory: two columns that are the primary key of a table WITHOUT
 * ROWID, statements that are prepared once, one transaction for all inserts.
 * An answer is the columns of a row, or whether there is one.
 */
template <class KEY> class sqlite : public subject_base
{
  public:
    using key = KEY;

    sqlite()
    {
        check(sqlite3_open(":memory:", &db_));
        run("PRAGMA journal_mode = OFF");
        run("CREATE TABLE t (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID");
        insert_ = prepare("INSERT OR IGNORE INTO t VALUES (?, ?)");
        delete_ = prepare("DELETE FROM t WHERE a = ? AND b = ?");
        find_ = prepare("SELECT 1 FROM t WHERE a = ? AND b = ?");
        scan_ = prepare("SELECT a, b FROM t ORDER BY a, b");
        range_ = prepare("SELECT b FROM t WHERE a = ? ORDER BY b");
        count_ = prepare("SELECT count(*) FROM t");
        run("BEGIN");
    }
    void insert(const key &key)
    {
        bind_both(insert_, key);
        change(insert_);
    }
    void finish()
    {
        run("COMMIT; BEGIN");
    }
    bool contains(const key &key)
    {
        bind_both(find_, key);
        return step(find_);
    }
    bool erase(const key &key)
    {
        bind_both(delete_, key);
        change(delete_);
        return sqlite3_changes(db_) > 0;
    }
    uint64_t scan(uint64_t *sum)
    {
        return read(scan_, 2, sum);
    }
    uint64_t rebuild(uint64_t *)
    {
        return 0;
    }
    uint64_t range(const key &key, uint64_t *sum)
    {
        bind_first(range_, key);
        return read(range_, 1, sum);
    }
    uint64_t count() const
    {
        uint64_t count;

        sqlite3_step(count_);
        count = (uint64_t)sqlite3_column_int64(count_, 0);
        sqlite3_reset(count_);
        return count;
    }

  private:
    void check(int status)
    {
        if (status != SQLITE_OK)
            die("sqlite: %s", sqlite3_errmsg(db_));
    }
    void run(const char *statement)
    {
        check(sqlite3_exec(db_, statement, nullptr, nullptr, nullptr));
    }
    sqlite3_stmt *prepare(const char *text)
    {
        sqlite3_stmt *statement;

        check(sqlite3_prepare_v3(db_, text, -1, SQLITE_PREPARE_PERSISTENT,
                                 &statement, nullptr));
        return statement;
    }
    void change(sqlite3_stmt *statement)
    {
        if (sqlite3_step(statement) != SQLITE_DONE)
            die("sqlite: %s", sqlite3_errmsg(db_));
        sqlite3_reset(statement);
    }
    /* Whether there is a row. */
    bool step(sqlite3_stmt *statement)
    {
        int status = sqlite3_step(statement);

        sqlite3_reset(statement);
        return status == SQLITE_ROW;
    }
    /* Reads all columns of all rows. */
    uint64_t read(sqlite3_stmt *statement, int columns, uint64_t *sum)
    {
        uint64_t count = 0;

        for (; sqlite3_step(statement) == SQLITE_ROW; count++)
            for (int column = 0; column < columns; column++)
                *sum += value_of(statement, column, (KEY *)nullptr);
        sqlite3_reset(statement);
        return count;
    }
    static uint64_t value_of(sqlite3_stmt *statement, int column, words *)
    {
        return (uint64_t)sqlite3_column_int64(statement, column);
    }
    static uint64_t value_of(sqlite3_stmt *statement, int column, text *)
    {
        return sqlite3_column_text(statement, column)[1];
    }
    void bind_first(sqlite3_stmt *statement, const words &key)
    {
        sqlite3_bind_int64(statement, 1, (int64_t)key.first);
    }
    void bind_both(sqlite3_stmt *statement, const words &key)
    {
        bind_first(statement, key);
        sqlite3_bind_int64(statement, 2, (int64_t)key.second);
    }
    /* The texts as such: 13 characters, without the bytes of an encoding. */
    void bind_first(sqlite3_stmt *statement, const text &key)
    {
        sqlite3_bind_text(statement, 1, (const char *)key.data + 1, 13,
                          SQLITE_STATIC);
    }
    void bind_both(sqlite3_stmt *statement, const text &key)
    {
        bind_first(statement, key);
        sqlite3_bind_text(statement, 2, (const char *)key.data + 16, 13,
                          SQLITE_STATIC);
    }

    sqlite3 *db_ = nullptr;
    sqlite3_stmt *insert_, *delete_, *find_, *scan_, *range_, *count_;
};

} // namespace bench

#endif
