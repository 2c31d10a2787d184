/*
 * core.h -- the headers of port_src/core, as C++ can read them.
 */
#ifndef RHIZOME_BENCH_CORE_H
#define RHIZOME_BENCH_CORE_H

/* C11 has the keyword, C++ the attribute. */
#define _Noreturn [[noreturn]]

extern "C" {
#include "core/epoch.h"
#include "core/heap.h"
#include "core/key.h"
#include "core/load.h"
#include "core/mem.h"
#include "core/snapshot.h"
#include "core/store.h"
#include "core/table.h"
#include "core/tree.h"
}

#undef _Noreturn

#endif
