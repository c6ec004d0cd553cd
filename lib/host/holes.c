/* host/holes.c - is the kernel mended of the known hole that nesting opens?
 *
 * A guest that is given VMX or SVM reaches code of KVM that other guests do not. Januscape,
 * CVE-2026-53359: from a guest to its host by the shadow MMU, Intel and AMD. Mended upstream, and
 * in one release of each branch that was maintained then; a branch that is not in the table has no
 * mended release that we know of. A distribution mends under a version of its own ("6.1.0-56-amd64"
 * says nothing of 6.1.177): of those only the distribution can tell. */
#include <string.h>

#include "base/text.h"
#include "host/judge.h"

#define HOLE        "Januscape (CVE-2026-53359)"
#define HOLE_SOURCE "upstream commit 81ccda30b4e8 and its stable releases"

/* The first mended release of each branch, the newest branch first; every later branch is. */
static const struct {
    unsigned major, minor, patch;
} mended[] = {{7, 1, 3}, {6, 18, 38}, {6, 12, 95}, {6, 6, 144}, {6, 1, 177}};

/* Reads "6.18.44": only digits and dots, as releases of upstream are named. */
static bool
read_release(const char *release, unsigned ret_parts[3])
{
    g_auto(GStrv) parts = g_strsplit(release, ".", 4);
    guint count = g_strv_length(parts);
    if (count < 2 || count > 3)
        return false;
    unsigned values[3] = {0, 0, 0};
    for (guint i = 0; i < count; i++) {
        uint64_t value = 0;
        if (!ireko_text_parse_unsigned(parts[i], 10, 0, G_MAXUINT16, &value))
            return false;
        values[i] = (unsigned)value;
    }
    memcpy(ret_parts, values, sizeof values);
    return true;
}

typedef enum { MENDED, OPEN, NOT_KNOWN } Mended;

static Mended
judge_release(const unsigned parts[3])
{
    if (parts[0] > mended[0].major || (parts[0] == mended[0].major && parts[1] > mended[0].minor))
        return MENDED;
    for (size_t i = 0; i < G_N_ELEMENTS(mended); i++) {
        if (parts[0] == mended[i].major && parts[1] == mended[i].minor)
            return parts[2] >= mended[i].patch ? MENDED : OPEN;
    }
    return NOT_KNOWN;
}

IrekoFinding *
ireko_verdict_kernel_holes(const char *release, const char *distribution, bool hands_on)
{
    if (release == NULL)
        return NULL;
    unsigned parts[3];
    Mended state = read_release(release, parts) ? judge_release(parts) : NOT_KNOWN;
    IrekoFinding *finding = ireko_finding_new(
        state == OPEN ? "kernel-hole" : "kernel-holes",
        state == MENDED || !hands_on ? IREKO_SEVERITY_INFO : IREKO_SEVERITY_WARNING);
    finding->evidence = g_strdup_printf("kernel %s%s%s", release, distribution != NULL ? ", " : "",
                                        distribution != NULL ? distribution : "");
    finding->source = g_strdup(HOLE_SOURCE);
    switch (state) {
    case MENDED:
        finding->what = g_strdup_printf("this kernel is mended of %s, a way out of a guest that is "
                                        "given hardware assistance",
                                        HOLE);
        break;
    case OPEN:
        finding->what = g_strdup_printf("this kernel has the hole %s: a guest that is given "
                                        "hardware assistance can take over this machine",
                                        HOLE);
        finding->fix =
            g_strdup("install the branch's newest release, or give no guest of strangers "
                     "vhv.enable (needs: root, reboot)");
        break;
    case NOT_KNOWN:
        finding->what = g_strdup_printf("whether this kernel is mended of %s is unknown: its "
                                        "version cannot tell",
                                        HOLE);
        finding->fix = g_strdup("ask the distribution; until then give vhv.enable to no guest of "
                                "strangers");
        break;
    }
    return finding;
}
