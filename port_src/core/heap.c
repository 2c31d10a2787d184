/*
 * heap.c -- one system call for each 2 MiB that the heap has grown by.
 */
#include "core/heap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* So many times EINVAL and nothing else: the kernel does not know it. */
#define REFUSED_MAX 8

/* Whether whoever runs the system lets programs ask. */
static bool large_pages_allowed(void)
{
    char text[64] = "";
    int fd = open("/sys/kernel/mm/transparent_hugepage/enabled",
                  O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    return size > 0 && !strstr(text, "[never]");
}

static uintptr_t heap_end(void)
{
    return (uintptr_t)sbrk(0) & ~(HEAP_PAGE - 1);
}

void heap_init(struct heap *heap)
{
    heap->begin = heap_end() + HEAP_PAGE;
    heap->settled = heap->begin;
    heap->off = !large_pages_allowed() || sysconf(_SC_PAGESIZE) != 4096;
}

size_t heap_grown(struct heap *heap)
{
    uintptr_t end;

    if (heap->off)
        return 0;
    end = heap_end();
    if (end < heap->settled) /* what was there has been given back */
        heap->settled = end > heap->begin ? end : heap->begin;
    return end >= heap->begin + HEAP_LARGE ? end - heap->settled : 0;
}

/* EINVAL is the answer for a piece of which nothing is there, or not all can be
 * written, and that of a kernel that does not know the request: always then. */
static bool settle_page(struct heap *heap)
{
    void *page = (void *)heap->settled; /* NOLINT */

    heap->settled += HEAP_PAGE;
    if (madvise(page, HEAP_PAGE, MADV_COLLAPSE) == 0) {
        heap->proven = true;
        return true;
    }
    if (errno == EINVAL && !heap->proven && ++heap->refused == REFUSED_MAX)
        heap->off = true;
    return false;
}

size_t heap_settle(struct heap *heap, size_t bytes)
{
    size_t settled = 0;

    while (bytes >= HEAP_PAGE && !heap->off) {
        bytes -= HEAP_PAGE;
        if (settle_page(heap))
            settled += HEAP_PAGE;
        else if (errno != EINVAL)
            break; /* there is none to be had */
    }
    heap_leave(heap, bytes);
    return settled;
}

void heap_leave(struct heap *heap, size_t bytes)
{
    heap->settled += bytes & ~(HEAP_PAGE - 1);
}
