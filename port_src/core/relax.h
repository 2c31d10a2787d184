/*
 * relax.h -- what a processor does while a thread looks for what another one
 * will write: for the other thread of its core, and for its power.
 */
#ifndef RHIZOME_CORE_RELAX_H
#define RHIZOME_CORE_RELAX_H

/* So many times 10 to 50 ns, as the processor has it. */
static inline void relax_processor(unsigned times)
{
    while (times-- > 0) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("isb" ::: "memory");
#else
        __asm__ volatile("" ::: "memory");
#endif
    }
}

#endif
