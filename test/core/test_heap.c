#include "core/heap.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define BLOCK 2000 /* of no size that malloc() maps */

static uint8_t *blocks[HEAP_LARGE / BLOCK * 2];

static void take_blocks(size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        blocks[i] = malloc(BLOCK);
        assert_non_null(blocks[i]);
        memset(blocks[i], (int)(i % 251), BLOCK);
    }
}

/* KiB of this process in large pages. */
static unsigned long large_kib(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    unsigned long kib = 0;
    char line[256];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) &&
           sscanf(line, "AnonHugePages: %lu kB", &kib) != 1)
        ;
    fclose(file);
    return kib;
}

static void a_large_heap_is_settled_once(void **state)
{
    size_t count = sizeof(blocks) / sizeof(blocks[0]);
    size_t half = HEAP_LARGE / BLOCK / 2;
    struct heap heap;
    size_t grown, settled;

    (void)state;
#ifdef RHIZOME_SANITIZE
    skip(); /* its malloc() has no heap */
#endif
    heap_init(&heap);
    if (heap.off)
        skip();
    assert_int_equal(heap_grown(&heap), 0);
    take_blocks(0, half); /* too small */
    assert_int_equal(heap_grown(&heap), 0);
    take_blocks(half, count);
    grown = heap_grown(&heap);
    assert_int_equal(grown % HEAP_PAGE, 0);
    assert_in_range(grown, HEAP_LARGE, 2 * HEAP_LARGE);
    settled = heap_settle(&heap, grown);
    if (settled) /* the kernel can, and has some */
        assert_true(large_kib() >= settled / 1024);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < BLOCK; k += 97)
            assert_int_equal(blocks[i][k], i % 251);
    if (settled < grown)
        skip();
    assert_int_equal(heap_grown(&heap), 0);

    /* What is given back stays away; and is settled again if the heap has
     * shrunk by it, and has come back. */
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    malloc_trim(0);
    assert_int_equal(heap_grown(&heap), 0);
    assert_true(large_kib() < settled / 1024);
    if ((uintptr_t)sbrk(0) > heap.begin + HEAP_LARGE)
        return; /* something lies at its end */
    take_blocks(0, count);
    assert_true(heap_grown(&heap) >= HEAP_LARGE);
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_heap_is_settled_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
