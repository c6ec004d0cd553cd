/* nest/parts.h - checks, as the parts of the module make them. Inside lib/nest only. */
#pragma once

#include "nest/nest.h"

#define IREKO_CAUSE_UNKNOWN "unknown"

/* A check about which nothing is known yet: not ok, seen NULL, cause "unknown". DEVICE may be NULL.
 */
IrekoCheck *
ireko_check_new(const char *what, const char *device, const char *promised);

/* What was seen, on what EVIDENCE (may be NULL), and whether that holds; CAUSE where it does not.
 */
void
ireko_check_settle(
    IrekoCheck *check, const char *seen, bool ok, const char *cause, const char *evidence);

IrekoLoss *
ireko_loss_new(const char *name, const char *by);

/* An empty list of IrekoAddress, which it owns. */
GPtrArray *
ireko_addresses_new(void);

IrekoAddress *
ireko_address_copy(const IrekoAddress *address);

/* ADDRESSES as JSON, a new reference; and what to_json wrote, appended to ADDRESSES:
 * IREKO_ERROR_REMOTE. */
json_t *
ireko_addresses_to_json(const GPtrArray *addresses);

bool
ireko_addresses_take(GPtrArray *addresses, const json_t *list, GError **error);

/* How to give MACHINE hardware assistance: the line to change. Free with g_free. */
char *
ireko_nest_vhv_fix(const IrekoMachine *machine);

/* The disk that FACTS have at the place DEVICE of a .vmx, or NULL. */
const IrekoDiskFact *
ireko_nest_find_disk(const IrekoFacts *facts, const char *device);

/* Whether the module that gives a layer with FACTS its KVM was told not to hand assistance on. */
bool
ireko_nest_is_off(const IrekoFacts *facts);

G_GNUC_UNUSED static inline const char *
ireko_bool_name(bool value)
{
    return value ? "true" : "false";
}
