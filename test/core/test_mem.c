/* The memory account: charges, limits, failures on demand, giving back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/mem.h"

static void every_byte_is_charged_and_given_back(void **state)
{
    struct mem mem;
    void *a;
    void *b;

    (void)state;
    mem_init(&mem, 0);
    a = mem_alloc(&mem, 100);
    b = mem_zalloc(&mem, 1000);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(mem.used, mem_charge(100) + mem_charge(1000));
    a = mem_grow(&mem, a, 100, 5000);
    assert_int_equal(mem.used, mem_charge(5000) + mem_charge(1000));
    mem_free(&mem, a, 5000);
    mem_free(&mem, b, 1000);
    mem_free(&mem, NULL, 7);
    assert_int_equal(mem.used, 0);
    assert_int_equal(mem.peak, mem_charge(5000) + mem_charge(1000));
}

static void the_limit_refuses_and_exemption_passes(void **state)
{
    struct mem mem;
    void *a;
    void *b;

    (void)state;
    mem_init(&mem, 1000);
    a = mem_alloc(&mem, 900);
    assert_non_null(a);
    assert_null(mem_alloc(&mem, 200));
    assert_int_equal(mem_status(&mem), ST_MEMORY_LIMIT);
    assert_null(mem_grow(&mem, a, 900, 1100));
    assert_int_equal(mem.used, mem_charge(900));
    mem_exempt_begin(&mem);
    b = mem_alloc(&mem, 200);
    assert_non_null(b);
    mem_exempt_end(&mem);
    mem_free(&mem, a, 900);
    mem_free(&mem, b, 200);
    assert_int_equal(mem.used, 0);
}

static void the_nth_allocation_fails(void **state)
{
    struct mem mem;
    void *a;

    (void)state;
    mem_init(&mem, 0);
    mem_fail_at(&mem, 2, false);
    a = mem_alloc(&mem, 10);
    assert_non_null(a);
    assert_null(mem_alloc(&mem, 10));
    assert_int_equal(mem_status(&mem), ST_NO_MEMORY);
    mem_free(&mem, a, 10);
    mem_fail_at(&mem, 1, true);
    assert_null(mem_alloc(&mem, 10));
    assert_null(mem_alloc(&mem, 10));
    mem_fail_at(&mem, 0, false);
    assert_int_equal(mem.used, 0);
}

#ifndef RHIZOME_SANITIZE /* its allocator keeps what is freed */

static size_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total;
    unsigned long pages;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &total, &pages), 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Even with a block at the end of the heap that stays. */
static void what_is_freed_goes_back_to_the_system(void **state)
{
    enum { COUNT = 100000, SIZE = 1000 };
    void **blocks = malloc(COUNT * sizeof(*blocks));
    struct mem mem;
    size_t full;

    (void)state;
    mem_init(&mem, 0);
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = mem_alloc(&mem, SIZE);
        assert_non_null(blocks[i]);
        memset(blocks[i], 1, SIZE);
    }
    full = resident();
    for (int i = 0; i + 1 < COUNT; i++)
        mem_free(&mem, blocks[i], SIZE);
    assert_true(resident() < full / 3);
    mem_free(&mem, blocks[COUNT - 1], SIZE);
    assert_int_equal(mem.used, 0);
    free(blocks);
}

#endif

/* A large block of zeros has none of its pages until they are written to, so
 * that nobody waits for it. */
static void zeros_take_no_time(void **state)
{
    const size_t size = (size_t)1 << 28;
    struct rusage before, after;
    struct mem mem;
    uint8_t *block;

    (void)state;
    mem_init(&mem, 0);
    getrusage(RUSAGE_SELF, &before);
    block = mem_zalloc(&mem, size);
    getrusage(RUSAGE_SELF, &after);
    assert_non_null(block);
    /* Of 65536; a sanitizer notes each eighth. */
    assert_true(after.ru_minflt - before.ru_minflt < 20000);
    assert_int_equal(block[0] | block[size / 3] | block[size - 1], 0);
    assert_int_equal(mem.used, mem_charge(size));
    mem_free(&mem, block, size);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_charged_and_given_back),
        cmocka_unit_test(the_limit_refuses_and_exemption_passes),
        cmocka_unit_test(the_nth_allocation_fails),
        cmocka_unit_test(zeros_take_no_time),
#ifndef RHIZOME_SANITIZE
        cmocka_unit_test(what_is_freed_goes_back_to_the_system),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
