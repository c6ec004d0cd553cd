/* nest/nest.h - promise and proof: what a machine must see, and whether it does. Pure.
 *
 * A promise is made of what the layer that runs the machine offers (its facts, the accelerator) and
 * of what the .vmx asks for. A proof compares it with the facts that the machine's own agent read,
 * check by check; each names its evidence and, where it fails, one stable cause and the fix. */
#pragma once

#include <jansson.h>

#include <ireko/report.h>

#include "host/facts.h"
#include "lan/lan.h"
#include "machine/machine.h"

G_BEGIN_DECLS

typedef enum { IREKO_ACCEL_KVM, IREKO_ACCEL_TCG } IrekoAccel;

/* "kvm", "tcg". */
const char *
ireko_accel_name(IrekoAccel accel);

/* The hardware assistance that a layer with FACTS can give to its guests under ACCEL: QEMU's TCG
 * has SVM only; KVM hands on its own where the module's nested parameter is not off. */
IrekoHv
ireko_nest_offer(const IrekoFacts *facts, IrekoAccel accel);

/* Whether a layer with FACTS can run a machine as a nest wants it. On a layer inside a nest
 * (LEVEL > 0) only KVM counts: TCG there would prove nothing. Returns a failed check "guests" of
 * the layer's machine (free with ireko_check_free) whose cause says why not, or NULL where it can.
 * LAYER is the .vmx of that layer's machine (NULL on L0): it names the line to change. */
IrekoCheck *
ireko_nest_check_guests(const IrekoFacts *facts, unsigned level, const IrekoMachine *layer);

/* The proof of MACHINE, run under ACCEL by a layer with facts OUTER: appends its checks to REPORT.
 * INNER are the facts from inside it; NULL where nobody inside can tell: then every check is there,
 * its "seen" unknown. HAS_GUESTS: the lab puts machines into it, so that it needs assistance. */
void
ireko_nest_prove(IrekoReport *report,
                 const IrekoMachine *machine,
                 const IrekoFacts *outer,
                 IrekoAccel accel,
                 const IrekoFacts *inner,
                 bool has_guests);

/* One host of a lab that requires vSAN. */
typedef struct {
    const IrekoMachine *machine;
    const IrekoFacts *facts; /* from inside it; NULL where nobody told */
    IrekoReport *report;     /* with the checks of the machine by itself */
} IrekoVsanHost;

/* The proof that HOSTS are ready for vSAN together: appends to their reports "vsan.cache" and
 * "vsan.capacity" for each disk that they contribute, its "disk.size", "disk.serial" and
 * "disk.wwn", and to the first report "vsan.hosts". A host that does not run is not ready. */
void
ireko_nest_prove_vsan(const IrekoVsanHost *hosts, size_t count);

/* Fills what REPORT's machine lost of the CPU on the way in: MACHINE, run under ACCEL by a layer
 * with facts OUTER, sees INNER. ireko_nest_prove does it too. */
void
ireko_nest_compare_cpus(IrekoReport *report,
                        const IrekoMachine *machine,
                        const IrekoFacts *outer,
                        IrekoAccel accel,
                        const IrekoFacts *inner);

/* Fills the addresses of REPORT's machine with what is known of its CARDS (IrekoCard) before
 * anybody inside was asked. HAS_AGENT: the lab gives it its addresses; else its own system does as
 * it likes, and only what NAT hands out is known. */
void
ireko_nest_expect_cards(IrekoReport *report, const GPtrArray *cards, bool has_agent);

/* The proof of them: FOUND is what the machine's agent read of its interfaces
 * (lab/network/interfaces.h), from a peer that may lie; NULL where it did not say, WHY_NOT (may be
 * NULL) in words. */
void
ireko_nest_prove_cards(IrekoReport *report,
                       const GPtrArray *cards,
                       const json_t *found,
                       const char *why_not);

/* The check net.link of the card DEVICE: whether it is plugged into NETWORK. */
IrekoCheck *
ireko_nest_link_check(const char *device, const char *network, bool plugged, const char *evidence);

/* The check WHAT of the card DEVICE: of PROMISED frames, SEEN (numbers as texts) came; SEEN NULL:
 * nobody can tell, and EVIDENCE says why. */
IrekoCheck *
ireko_nest_frames_check(const char *what,
                        const char *device,
                        const char *promised,
                        const char *seen,
                        const char *evidence);

/* One entry of "machines" of ireko.nest/1; a new reference. */
json_t *
ireko_report_to_json(const IrekoReport *report);

/* Reads what to_json wrote, from a peer that may lie: IREKO_ERROR_REMOTE. Texts are made safe. */
IrekoReport *
ireko_report_from_json(const json_t *object, GError **error);

void
ireko_check_free(IrekoCheck *check); /* NULL is fine */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoCheck, ireko_check_free)

G_END_DECLS
