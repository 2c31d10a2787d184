/*
 * bench_floor.cc -- suite `floors`: what the machine allows, whatever program
 * runs on it. Times of other suites can be read as so many of these.
 *
 *   memcpy_large   copying 256 MiB to another 256 MiB, GB of the source a
 * second memcpy_small   copying 16 KiB to another 16 KiB, both in the first
 * cache page_fault     the first write to a page of 4 KiB, without huge pages
 *   page_fault_huge   the same with huge pages, for each 4 KiB of them
 *   cache_miss     a read whose address the one before has told, of 512 MiB: a
 *                  lookup waits for some of them, one after the other
 *   system_call    the cheapest one
 *   wake_up        a byte to another process and back, through two pipes, as
 *                  every call to the daemon travels: wall time, the median
 */
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

using namespace bench;

namespace
{

const size_t PAGE = 4096;

uint8_t *map(size_t size, int advice)
{
    void *map = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    madvise(map, size, advice);
    return (uint8_t *)map;
}

void measure_memcpy(recorder &recorder, const char *name, size_t size,
                    uint64_t passes)
{
    uint8_t *from = map(size, MADV_HUGEPAGE);
    uint8_t *to = map(size, MADV_HUGEPAGE);
    uint64_t began;

    memset(from, 1, size);
    memset(to, 2, size);
    began = cpu_ns();
    for (uint64_t pass = 0; pass < passes; pass++) {
        memcpy(to, from, size);
        keep(to[pass % size]);
    }
    recorder.add(name, "gb_per_s", "GB/s",
                 (double)size * (double)passes / (double)(cpu_ns() - began));
    munmap(from, size);
    munmap(to, size);
}

void measure_faults(recorder &recorder, const char *name, int advice)
{
    const size_t size = 256u << 20;
    uint8_t *pages = map(size, advice);
    uint64_t began = cpu_ns();

    for (size_t at = 0; at < size; at += PAGE)
        pages[at] = 1;
    recorder.add(name, "ns", "ns", each(began, size / PAGE));
    munmap(pages, size);
}

/* One cycle through all lines, in random order (Sattolo). */
void measure_misses(recorder &recorder)
{
    struct line {
        uint64_t next;
        uint64_t rest[7];
    };
    const uint64_t count = (512u << 20) / sizeof(line), reads = 4000000;
    line *lines = (line *)map(count * sizeof(line), MADV_NORMAL);
    splitmix64 random(7);
    uint64_t at = 0, began;

    for (uint64_t i = 0; i < count; i++)
        lines[i].next = i;
    for (uint64_t i = count - 1; i > 0; i--)
        std::swap(lines[i].next, lines[random.below(i)].next);
    began = cpu_ns();
    for (uint64_t i = 0; i < reads; i++)
        at = lines[at].next;
    keep(at);
    recorder.add("cache_miss", "ns", "ns", each(began, reads));
    munmap(lines, count * sizeof(line));
}

void measure_calls(recorder &recorder)
{
    const uint64_t calls = 1000000;
    uint64_t began = cpu_ns();

    for (uint64_t i = 0; i < calls; i++)
        keep((uint64_t)syscall(SYS_getppid));
    recorder.add("system_call", "ns", "ns", each(began, calls));
}

void measure_wake_ups(recorder &recorder)
{
    using clock = std::chrono::steady_clock;
    const unsigned trips = 20000;
    std::vector<double> times;
    int there[2], back[2];
    char byte = 1;
    pid_t child;

    if (pipe(there) || pipe(back))
        die("pipe: %s", strerror(errno));
    child = fork();
    if (child == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1)
            if (write(back[1], &byte, 1) != 1)
                break;
        _exit(0);
    }
    for (unsigned i = 0; i < trips; i++) {
        auto began = clock::now();

        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            die("the other process is gone");
        std::chrono::duration<double, std::micro> took = clock::now() - began;
        times.push_back(took.count());
    }
    close(there[1]);
    waitpid(child, nullptr, 0);
    std::nth_element(times.begin(), times.begin() + trips / 2, times.end());
    recorder.add("wake_up", "us_p50", "us", times[trips / 2]);
}

} // namespace

int main(int argc, char **argv)
{
    options options =
        parse_options(argc, argv, "What the machine allows any program.");
    bool any = false;

    for (const char *name :
         {"memcpy_large", "memcpy_small", "page_fault", "page_fault_huge",
          "cache_miss", "system_call", "wake_up"})
        any = any || wanted(options, "floors", name);
    if (any)
        run_rounds(
            options, "floors", 1, options.quick ? 1 : 5,
            {{"machine", [](recorder &recorder) {
                  measure_memcpy(recorder, "memcpy_large", 256u << 20, 8);
                  measure_memcpy(recorder, "memcpy_small", 16u << 10, 200000);
                  measure_faults(recorder, "page_fault", MADV_NOHUGEPAGE);
                  measure_faults(recorder, "page_fault_huge", MADV_HUGEPAGE);
                  measure_misses(recorder);
                  measure_calls(recorder);
                  measure_wake_ups(recorder);
              }}});
    return 0;
}
