/* lan/probe.h - frames that are sent from every card of a lab to every other, to see which arrive.
 * Pure; the same plan is made by whoever sends, whoever listens and whoever judges. */
#pragma once

#include <jansson.h>

#include "lan/lan.h"

G_BEGIN_DECLS

#define IREKO_PROBE_TYPE      0x88b5 /* IEEE 802, local experimental EtherType 1 */
#define IREKO_PROBE_MTU       1514   /* bytes of the longest frame: 1500 and the header */
#define IREKO_PROBE_SHORT     60     /* ... of the others, the least that Ethernet has */
#define IREKO_PROBE_CARDS_MAX 2560   /* of a lab */
#define IREKO_PROBE_PATH_MAX  1040   /* bytes of a machine's path */
#define IREKO_PROBE_ALL_PAIRS 64     /* cards on a network up to which each sends to each other */

typedef enum {
    IREKO_PROBE_BROADCAST,
    IREKO_PROBE_UNICAST,
    IREKO_PROBE_FOREIGN, /* from an address that is not the card's: as from a guest inside */
    IREKO_PROBE_FULL,    /* as long as an MTU of 1500 allows */
    IREKO_PROBE_KINDS,
} IrekoProbeKind;

/* A card that takes part. */
typedef struct {
    char *path;     /* of its machine */
    unsigned index; /* N of ethernetN */
    unsigned network;
    bool bridged; /* guests lead on by it: its addresses are a bridge's */
    uint8_t mac[IREKO_MAC_BYTES];
} IrekoProbeCard;

/* One frame; its number is its place in the plan. */
typedef struct {
    uint16_t from, to; /* cards of the plan; a broadcast is to each on FROM's network but FROM */
    uint16_t kind;
} IrekoProbe;

typedef struct {
    uint64_t token;   /* of this exchange: a frame of another is none of it */
    GPtrArray *cards; /* IrekoProbeCard */
    GArray *frames;   /* IrekoProbe */
} IrekoProbePlan;

/* A plan for CARDS (IrekoProbeCard, taken over): a broadcast of each, and one frame of each other
 * kind to each other card on its network; where these are more than IREKO_PROBE_ALL_PAIRS, to those
 * at distances 1, 2, 4 and so on. */
IrekoProbePlan *
ireko_probe_plan_new(uint64_t token, GPtrArray *cards);

void
ireko_probe_plan_free(IrekoProbePlan *plan); /* NULL is fine */

/* {"token":T,"cards":[{"path":P,"card":N,"network":K,"bridged":B,
 * "mac":M}]}; a new reference. */
json_t *
ireko_probe_plan_to_json(const IrekoProbePlan *plan);

/* Reads what to_json wrote: IREKO_ERROR_REMOTE. */
IrekoProbePlan *
ireko_probe_plan_from_json(const json_t *object, GError **error);

IrekoProbeCard *
ireko_probe_card_new(const char *path, unsigned index, unsigned network, const char *mac);

/* The interface of a card's machine that the card's own frames pass: "bridge N" or "ethernetN";
 * free with g_free. */
char *
ireko_probe_top(const IrekoProbeCard *card);

/* Whether the frame NUMBER is to arrive at the card CARD of the plan. */
bool
ireko_probe_is_for(const IrekoProbePlan *plan, unsigned number, unsigned card);

/* ---- frames ---- */

/* Writes the frame NUMBER; returns its length. */
size_t
ireko_probe_write(const IrekoProbePlan *plan, unsigned number, uint8_t ret_frame[IREKO_PROBE_MTU]);

/* The number of the frame that DATA is, whole and unchanged; -1: it is none of this exchange. */
int
ireko_probe_read(const IrekoProbePlan *plan, const uint8_t *data, size_t len);

/* ---- what was seen where ---- */

typedef struct IrekoProbeLog IrekoProbeLog;

IrekoProbeLog *
ireko_probe_log_new(const IrekoProbePlan *plan);

void
ireko_probe_log_free(IrekoProbeLog *log); /* NULL is fine */

/* The frame NUMBER passed the interface LABEL, outwards or inwards. */
void
ireko_probe_log_add(IrekoProbeLog *log, const char *label, bool out, unsigned number);

bool
ireko_probe_log_has(const IrekoProbeLog *log, const char *label, bool out, unsigned number);

/* {LABEL:{"in":BASE64,"out":BASE64}}: a bit a frame; a new reference. */
json_t *
ireko_probe_log_to_json(const IrekoProbeLog *log);

/* Reads what to_json wrote, for the same plan: IREKO_ERROR_REMOTE. */
IrekoProbeLog *
ireko_probe_log_from_json(const IrekoProbePlan *plan, const json_t *object, GError **error);

/* A set of frames, a bit each, as text and back; free with g_free. */
char *
ireko_probe_set_to_text(const IrekoProbePlan *plan, const uint8_t *set);

uint8_t *
ireko_probe_set_from_text(const IrekoProbePlan *plan, const char *text, GError **error);

/* An empty set; free with g_free. */
uint8_t *
ireko_probe_set_new(const IrekoProbePlan *plan);

static inline bool
ireko_probe_set_has(const uint8_t *set, unsigned number)
{
    return (set[number / 8] >> (number % 8) & 1) != 0;
}

static inline void
ireko_probe_set_add(uint8_t *set, unsigned number)
{
    set[number / 8] = (uint8_t)(set[number / 8] | 1u << (number % 8));
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoProbePlan, ireko_probe_plan_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoProbeLog, ireko_probe_log_free)

G_END_DECLS
