/*
 * awake.c -- whether to look, and the looks.
 */
#include "port/awake.h"

#include <poll.h>
#include <sched.h>

#include "core/relax.h"

#define SPELL_MIN_NS 4000u /* less is not worth it */
#define MANY_REQUESTS 100  /* between two pauses */
#define TAKEN_NS 1000000u  /* a look that took so long was not alone */
#define REST_NS 1000000000u

/* Between two looks, each of which is a system call of less than 1 us: some 1
 * to 3 us for a processor that may share its core. */
#define RELAXED 64

uint64_t awake_spell(struct awake *awake, uint64_t request_count)
{
    uint64_t requests = request_count - awake->requests;

    awake->requests = request_count;
    if (requests > MANY_REQUESTS || awake->blind) {
        awake->blind = false;
        return 0;
    }
    return awake->spell;
}

void awake_looked(struct awake *awake, bool found, uint64_t taken,
                  uint64_t begin, uint64_t now)
{
    awake->pauses = !found;
    awake->pauses_at = begin;
    if (taken >= TAKEN_NS) {
        awake->rests_until = now + REST_NS;
        awake->spell = 0;
    } else if (found) {
        awake->spell = awake->spell_max;
    } else {
        awake->spell /= 2;
        if (awake->spell < SPELL_MIN_NS)
            awake->spell = 0;
    }
}

void awake_woke(struct awake *awake, uint64_t now)
{
    if (awake->pauses && now - awake->pauses_at < awake->spell_max &&
        now >= awake->rests_until)
        awake->spell = awake->spell_max;
    awake->pauses = false;
}

static void on_before(uv_prepare_t *handle)
{
    struct awake *awake = handle->data;
    struct pollfd loop = {.fd = uv_backend_fd(handle->loop), .events = POLLIN};
    int timeout = uv_backend_timeout(handle->loop); /* ms, or -1 */
    uint64_t spell, begin, now;
    uint64_t taken = 0;
    bool found = false;

    if (timeout == 0)
        return;
    spell = awake_spell(awake, *awake->request_count);
    if (timeout > 0 && spell > (uint64_t)timeout * 1000000)
        spell = 0; /* a clock is due before */
    begin = now = uv_hrtime();
    while (now - begin < spell && taken < TAKEN_NS) {
        uint64_t last = now;

        /* First of all: the client may be waiting for this very processor. */
        sched_yield();
        found = poll(&loop, 1, 0) != 0;
        if (!found)
            relax_processor(RELAXED);
        now = uv_hrtime();
        if (now - last > taken)
            taken = now - last;
        if (found)
            break;
    }
    awake_looked(awake, found, taken, begin, now);
    if (spell)
        uv_update_time(handle->loop); /* for its clocks */
}

static void on_after(uv_check_t *handle)
{
    struct awake *awake = handle->data;

    if (awake->pauses)
        awake_woke(awake, uv_hrtime());
}

int awake_init(struct awake *awake, uv_loop_t *loop, uint64_t spell_max,
               const uint64_t *request_count)
{
    int error;

    *awake =
        (struct awake){.spell_max = spell_max, .request_count = request_count};
    if (!spell_max)
        return 0;
    awake->before.data = awake;
    awake->after.data = awake;
    uv_prepare_init(loop, &awake->before);
    uv_check_init(loop, &awake->after);
    error = uv_prepare_start(&awake->before, on_before);
    if (error == 0)
        error = uv_check_start(&awake->after, on_after);
    uv_unref((uv_handle_t *)&awake->before);
    uv_unref((uv_handle_t *)&awake->after);
    return error;
}
