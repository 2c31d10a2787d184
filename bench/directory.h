/*
 * directory.h -- a new directory below TMPDIR (or /tmp), removed at the end.
 */
#ifndef RHIZOME_BENCH_DIRECTORY_H
#define RHIZOME_BENCH_DIRECTORY_H

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <unistd.h>

#include "harness.h"

namespace bench
{

class directory
{
  public:
    directory()
    {
        const char *parent = getenv("TMPDIR");
        std::string name = std::string(parent ? parent : "/tmp");

        name += "/rhizome-bench-XXXXXX";
        if (!mkdtemp(name.data()))
            die("mkdtemp: %s", strerror(errno));
        path_ = name;
    }
    ~directory()
    {
        std::filesystem::remove_all(path_);
    }
    const std::string &path() const
    {
        return path_;
    }
    uint64_t log_bytes() const
    {
        return file_bytes("log-");
    }
    uint64_t checkpoint_bytes() const
    {
        return file_bytes("ckpt-");
    }

  private:
    uint64_t file_bytes(const char *prefix) const
    {
        uint64_t bytes = 0;

        for (const auto &entry : std::filesystem::directory_iterator(path_))
            if (entry.path().filename().string().rfind(prefix, 0) == 0)
                bytes += entry.file_size();
        return bytes;
    }

    std::string path_;
};

} // namespace bench

#endif
