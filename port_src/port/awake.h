/*
 * awake.h -- a loop that looks a moment longer before it sleeps.
 *
 * Going to sleep and being woken up takes longer than most requests: 10 us, and
 * 50 on a virtual machine, where the host has a part in it. A client that
 * calls, works with the answer and calls again is back before that. So when
 * the last pause was a short one, the loop looks whether something comes for
 * a spell, and sleeps only then.
 *
 *     it begins   with a pause shorter than the longest spell
 *     it goes on  while looks are not in vain: those halve the spell, and a
 *                 few of them end it, thus a client that pauses costs two
 *                 spells of processor time at most
 *     not         after many requests at once: clients that send so many need
 *                 the processors themselves, and look less often for answers
 *     not         for a second after others took the processor for long, as
 *                 the loop gives way between looks: who sleeps is let in
 *                 again sooner than who looks
 *
 * Spinning before blocking, for about as long as blocking costs, takes at most
 * twice the time of the best choice that knew the pauses beforehand: Karlin,
 * Li, Manasse and Owicki, "Empirical studies of competitive spinning for a
 * shared-memory multiprocessor", SOSP 1991.
 */
#ifndef RHIZOME_PORT_AWAKE_H
#define RHIZOME_PORT_AWAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Of --busy-wait, in microseconds. */
#define BUSY_WAIT_US_DEFAULT 150
#define BUSY_WAIT_US_MAX 10000

/* Times are those of uv_hrtime(). */
struct awake {
    /* Set by who begins to wait for a descriptor: the loop tells the system
     * only when it sleeps, and no look would see it. */
    bool blind;

    uint64_t spell; /* ns that the next one takes; 0: none */
    uint64_t spell_max;
    uint64_t rests_until;
    uint64_t requests; /* that had come before the last pause */
    uint64_t pauses_at;
    bool pauses; /* it has had nothing to do since, and sleeps */

    uv_prepare_t before; /* the loop sleeps */
    uv_check_t after;
    const uint64_t *request_count;
};

/*
 * `*request_count`, borrowed, is how many requests there were; `spell_max` is
 * in ns, and 0 for never. The handles do not keep the loop running. 0, or an
 * error of libuv.
 */
int awake_init(struct awake *awake, uv_loop_t *loop, uint64_t spell_max,
               const uint64_t *request_count);

/* --- what it decides, apart from the loop ------------------------------- */

/* How long to look now that there is nothing to do, in ns. */
uint64_t awake_spell(struct awake *awake, uint64_t request_count);

/* Since `begin` something was found, or nothing and the loop sleeps now;
 * `taken` is the longest time that a look took. */
void awake_looked(struct awake *awake, bool found, uint64_t taken,
                  uint64_t begin, uint64_t now);

/* The loop goes on after it has slept. */
void awake_woke(struct awake *awake, uint64_t now);

#endif
