#include "harness.h"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench
{

/* One figure on its way from the child; smaller than PIPE_BUF, so atomic. */
struct record {
    char case_name[64];
    char metric[32];
    char unit[32];
    double value;
};

void die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fprintf(stderr, "bench: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

static uint64_t parse_size(const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (*end == 'k')
        value *= 1e3, end++;
    else if (*end == 'm')
        value *= 1e6, end++;
    if (*end || value < 16)
        die("no size: %s (say 1000000, 250k or 10m)", text);
    return (uint64_t)value;
}

options parse_options(int argc, char **argv, const char *about)
{
    options options;

    for (int i = 1; i < argc; i++) {
        std::string argument = argv[i];
        bool last = i + 1 == argc;

        if (argument == "--quick") {
            options.quick = true;
        } else if (argument == "--n" && !last) {
            options.sizes.push_back(parse_size(argv[++i]));
        } else if (argument == "--rounds" && !last) {
            options.rounds = (unsigned)atoi(argv[++i]);
        } else if (argument == "--only" && !last) {
            options.names.push_back(argv[++i]);
        } else if (argument == "--subject" && !last) {
            options.subjects.push_back(argv[++i]);
        } else {
            fprintf(argument == "--help" ? stdout : stderr,
                    "%s\n\nusage: %s [--n SIZE]... [--rounds COUNT] "
                    "[--quick] [--only NAME]... [--subject NAME]...\n"
                    "NAME is a suite or how a case's name begins.\n",
                    about, argv[0]);
            exit(argument == "--help" ? 0 : 64);
        }
    }
    return options;
}

bool wanted(const options &options, const std::string &suite,
            const std::string &case_name)
{
    if (options.names.empty())
        return true;
    for (const std::string &name : options.names) {
        if (name == suite || !case_name.compare(0, name.size(), name))
            return true;
    }
    return false;
}

std::string size_name(uint64_t n)
{
    if (n % 1000000 == 0)
        return std::to_string(n / 1000000) + "m";
    if (n % 1000 == 0)
        return std::to_string(n / 1000) + "k";
    return std::to_string(n);
}

void recorder::add(const std::string &case_name, const char *metric,
                   const char *unit, double value)
{
    record record = {};

    snprintf(record.case_name, sizeof(record.case_name), "%s",
             case_name.c_str());
    snprintf(record.metric, sizeof(record.metric), "%s", metric);
    snprintf(record.unit, sizeof(record.unit), "%s", unit);
    record.value = value;
    if (write(fd_, &record, sizeof(record)) != (ssize_t)sizeof(record))
        die("cannot report %s", case_name.c_str());
}

/* Runs one subject in a child and hands on what it reports. */
static void run_child(const subject &subject,
                      const std::function<void(const record &)> &take)
{
    int ends[2];
    record record;
    ssize_t size;
    int status;
    pid_t child;

    if (pipe(ends) < 0)
        die("pipe: %s", strerror(errno));
    fflush(nullptr);
    child = fork();
    if (child < 0)
        die("fork: %s", strerror(errno));
    if (!child) {
        close(ends[0]);
        /* A fixed threshold: by default it grows with what was freed. */
        mallopt(M_MMAP_THRESHOLD, 128 << 10);
        recorder recorder(ends[1]);
        subject.run(recorder);
        _exit(0);
    }
    close(ends[1]);
    while ((size = read(ends[0], &record, sizeof(record))) > 0) {
        if (size != (ssize_t)sizeof(record))
            die("%s: a torn record", subject.name.c_str());
        take(record);
    }
    close(ends[0]);
    if (waitpid(child, &status, 0) < 0 || status)
        die("%s: ended with status %d", subject.name.c_str(), status);
}

void run_rounds(const options &options, const std::string &suite, uint64_t n,
                unsigned rounds, const std::vector<subject> &subjects)
{
    struct series {
        record head;
        std::string subject;
        std::vector<double> values;
    };
    std::vector<series> all; /* in the order of their first report */
    std::map<std::pair<std::string, std::string>, size_t> index;

    if (options.rounds)
        rounds = options.rounds;
    for (unsigned round = 0; round < rounds; round++) {
        for (const subject &subject : subjects) {
            const auto &some = options.subjects;

            if (round >= subject.rounds_max)
                continue;
            if (!some.empty() &&
                std::find(some.begin(), some.end(), subject.name) == some.end())
                continue;
            fprintf(stderr, "%s %s: %s, round %u of %u\n", suite.c_str(),
                    size_name(n).c_str(), subject.name.c_str(), round + 1,
                    rounds);
            run_child(subject, [&](const record &record) {
                auto key =
                    std::make_pair(std::string(record.case_name), subject.name);
                auto found = index.emplace(key, all.size());

                if (found.second)
                    all.push_back({record, subject.name, {}});
                all[found.first->second].values.push_back(record.value);
            });
        }
    }
    for (series &series : all) {
        std::vector<double> &values = series.values;
        size_t middle = values.size() / 2;
        double median;

        if (!wanted(options, suite, series.head.case_name))
            continue;
        std::sort(values.begin(), values.end());
        median = values.size() % 2 ? values[middle]
                                   : (values[middle - 1] + values[middle]) / 2;
        printf("{\"suite\":\"%s\",\"case\":\"%s\",\"subject\":\"%s\","
               "\"n\":%llu,\"metric\":\"%s\",\"unit\":\"%s\","
               "\"value\":%.6g,\"min\":%.6g,\"max\":%.6g,\"runs\":%zu}\n",
               suite.c_str(), series.head.case_name, series.subject.c_str(),
               (unsigned long long)n, series.head.metric, series.head.unit,
               median, values.front(), values.back(), values.size());
    }
    fflush(stdout);
}

uint64_t cpu_ns()
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

size_t resident_bytes()
{
    unsigned long long total;
    unsigned long long resident;
    FILE *file;

    malloc_trim(0);
    file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%llu %llu", &total, &resident) != 2)
        die("cannot read /proc/self/statm");
    fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

std::vector<pair> random_pairs(uint64_t n)
{
    pair_source source(n);
    std::vector<pair> pairs;

    pairs.reserve(n);
    for (uint64_t i = 0; i < n; i++)
        pairs.push_back(source.next());
    return pairs;
}

} // namespace bench
