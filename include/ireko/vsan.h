/* ireko/vsan.h - which disks of a host a vSAN (its Original Storage Architecture) takes, and as
 * what. One answer for the rules of lint, which ask the files, and for the proof, which asks the
 * hosts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ireko/error.h>

G_BEGIN_DECLS

#define IREKO_VSAN_HOSTS_MIN 3

/* Whether a machine is a host: a hypervisor by its guestOS, or one that hands assistance on. */
bool
ireko_vsan_is_host(const char *guest_os, bool vhv);

typedef enum { IREKO_VSAN_CACHE, IREKO_VSAN_CAPACITY } IrekoVsanRole;

typedef struct {
    bool flash;         /* it says that it is an SSD */
    uint64_t bytes;     /* 0: unknown */
    IrekoVsanRole role; /* ireko_vsan_assign says it */
} IrekoVsanDisk;

/* Gives each of DISKS, those of one host but for the one that it boots from, its role: beside disks
 * that rotate every SSD is a cache; among SSDs alone the smallest is. */
void
ireko_vsan_assign(IrekoVsanDisk *disks, size_t count);

G_END_DECLS
