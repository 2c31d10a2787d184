/*
 * settler.c -- a job now and then.
 */
#include "port/settler.h"

static void settler_run(struct job *job)
{
    struct settler *settler = (struct settler *)(void *)job;

    while (settler->bytes >= HEAP_PAGE && heap_settle(&settler->heap))
        settler->bytes -= HEAP_PAGE;
}

static void settler_end(struct job *job)
{
    struct settler *settler = (struct settler *)(void *)job;

    settler->runs = false;
}

void settler_init(struct settler *settler, const struct job_host *host)
{
    *settler =
        (struct settler){.job = {settler_run, settler_end}, .host = *host};
    heap_init(&settler->heap);
}

void settler_look(struct settler *settler)
{
    if (settler->runs)
        return;
    settler->bytes = heap_grown(&settler->heap);
    if (settler->bytes < SETTLER_BYTES_MIN)
        return;
    /* Refused for want of memory: the next look tries again. */
    settler->runs = job_start(&settler->host, &settler->job) == ST_OK;
}
