/*
 * heap.h -- a large heap in large pages.
 *
 * A store of a gigabyte lies in 250,000 pages of 4 KiB, and the processor
 * remembers where some thousands are: a random access to such a heap walks the
 * page table first, which takes as long as the access, and longer in a virtual
 * machine. Of pages of 2 MiB it remembers nearly all.
 *
 * Memory that malloc() has got by brk() is put together, 2 MiB at a time and
 * once only, when the heap has grown past it (MADV_COLLAPSE, Linux 6.1). By
 * then it is in use, but for holes, so that hardly anything grows by this; and
 * what malloc_trim() gives back later stays away, for nothing is asked of what
 * will be there. Where the kernel knows no such request, or whoever runs it
 * wants no large pages ("never" in
 * /sys/kernel/mm/transparent_hugepage/enabled), nothing happens.
 */
#ifndef RHIZOME_CORE_HEAP_H
#define RHIZOME_CORE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_PAGE ((size_t)2 << 20)

/* Smaller heaps do well as they are. */
#define HEAP_LARGE ((size_t)64 << 20)

struct heap {
    uintptr_t begin;
    uintptr_t settled; /* up to here it has been done, or tried */
    unsigned refused;  /* pages, while none was done */
    bool proven;       /* one was done */
    bool off;
};

/* To be called while the process may still open files, and its heap is small.
 */
void heap_init(struct heap *heap);

/* By how much the heap has grown past what is settled, in whole pages; 0 if
 * that is not to be settled. Cheap. For the thread whose heap is meant, the
 * main one, while no heap_settle() runs. */
size_t heap_grown(struct heap *heap);

/*
 * Settles the next `bytes`, of those that it has grown by: 0.4 ms a page, and
 * some more where memory is in pieces. For any thread, one at a time, while
 * others use the heap. Gives back for how many bytes it was done; where there
 * is no large page to be had the rest is left as it is, for good.
 */
size_t heap_settle(struct heap *heap, size_t bytes);

/* Leaves them as they are. */
void heap_leave(struct heap *heap, size_t bytes);

#endif
