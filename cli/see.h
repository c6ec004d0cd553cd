/* cli/see.h - the parts of ireko see. */
#pragma once

#include <ireko/see.h>

#include "cli.h"

typedef struct {
    gboolean json, map, cpu, exits, watch, find, no_pause;
    char **addresses;
    char *ram;
    int seconds, guest;
} SeeOptions;

/* see-exits.c: ireko see PATH --exits. */
int
see_exits(const IrekoHome *home, const char *path, const SeeOptions *options, GError **error);

/* see-way.c: the ways of addresses, as JSON or drawn. */
int
see_addresses(const IrekoHome *home,
              const IrekoSeeOrder *order,
              const SeeOptions *options,
              GError **error);

/* see-find.c: ireko see --find. */
int
see_find(const IrekoHome *home,
         const IrekoSeeOrder *order,
         const SeeOptions *options,
         GError **error);

/* see-cpu.c: ireko see PATH --cpu. */
int
see_cpu(const IrekoHome *home, const char *path, const SeeOptions *options, GError **error);

/* see-map.c: ireko see --map. */
int
see_map(const IrekoHome *home,
        const IrekoSeeOrder *order,
        const SeeOptions *options,
        GError **error);
