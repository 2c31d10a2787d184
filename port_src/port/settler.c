/*
 * settler.c -- a job now and then.
 */
#include "port/settler.h"

static void settler_run(struct job *job)
{
    struct settler *settler = (struct settler *)(void *)job;

    heap_settle(&settler->heap, settler->bytes);
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
    if (settler->bytes > SETTLER_BYTES_MAX)
        settler->bytes = SETTLER_BYTES_MAX;
    settler->runs = job_start(&settler->host, &settler->job) == ST_OK;
    if (!settler->runs) /* no thread can be had: not at each request again */
        heap_leave(&settler->heap, settler->bytes);
}
