/* host/verdict-text.c - a verdict for a person: the answer, the chain with its evidence, what to
 * do, what else is worth knowing, what could not be read. */
#include <string.h>

#include "host/inner.h"
#include "host/judge.h"

#define NAME_COLUMNS 11 /* of a link or a fact, and a blank */
#define WIDTH_LEAST  40

typedef struct {
    const IrekoCheckStyle *style;
    GString *text;
} Page;

typedef enum { PLAIN, BOLD, GREEN, RED, YELLOW } Ink;

static const char *
ink_code(const Page *page, Ink ink)
{
    static const char *const codes[] = {"", "\033[1m", "\033[32m", "\033[31m", "\033[33m"};
    return page->style->colour ? codes[ink] : "";
}

static const char *
ink_end(const Page *page, Ink ink)
{
    return page->style->colour && ink != PLAIN ? "\033[0m" : "";
}

void
ireko_append_wrapped(GString *text, size_t indent, size_t width, const char *words)
{
    size_t column = indent;
    g_auto(GStrv) list = g_strsplit_set(words, " \n\t", -1);
    bool first = true;
    for (size_t i = 0; list[i] != NULL; i++) {
        if (*list[i] == '\0')
            continue;
        size_t len = (size_t)g_utf8_strlen(list[i], -1);
        if (!first && column + 1 + len > width) {
            g_string_append_printf(text, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        g_string_append_printf(text, "%s%s", first ? "" : " ", list[i]);
        column += len + (first ? 0 : 1);
        first = false;
    }
    g_string_append_c(text, '\n');
}

static void
add_wrapped(Page *page, size_t indent, const char *words)
{
    size_t width = page->style->width == 0 ? SIZE_MAX : MAX(page->style->width, WIDTH_LEAST);
    ireko_append_wrapped(page->text, indent, width, words);
}

static void
add_heading(Page *page, const char *words)
{
    g_string_append_printf(page->text, "\n%s%s%s\n", ink_code(page, BOLD), words,
                           ink_end(page, BOLD));
}

/* "  ✓ name      evidence" */
static void
add_row(Page *page, const char *mark, Ink ink, const char *name, const char *words)
{
    size_t len = strlen(name);
    g_string_append_printf(page->text, "  %s%s%s %s%*s", ink_code(page, ink), mark,
                           ink_end(page, ink), name,
                           (int)(len + 1 < NAME_COLUMNS ? NAME_COLUMNS - len : 1), "");
    add_wrapped(page, 4 + MAX(NAME_COLUMNS, len + 1), words);
}

static const char *
link_mark(const Page *page, IrekoLinkState state, Ink *ret_ink)
{
    bool utf8 = page->style->utf8;
    switch (state) {
    case IREKO_LINK_OK:
        *ret_ink = GREEN;
        return utf8 ? "✓" : "+";
    case IREKO_LINK_BROKEN:
        *ret_ink = RED;
        return utf8 ? "✗" : "x";
    case IREKO_LINK_UNKNOWN:
        *ret_ink = YELLOW;
        return "?";
    case IREKO_LINK_SKIPPED:
        break;
    }
    *ret_ink = PLAIN;
    return utf8 ? "·" : ".";
}

static void
add_headline(Page *page, const IrekoVerdict *verdict)
{
    const char *answer;
    Ink ink = GREEN;
    if (strcmp(verdict->word, "hardware") == 0) {
        answer = "Yes: nests run on KVM here.";
    } else if (strcmp(verdict->word, "software") == 0) {
        answer = "Yes, in software: nests run on QEMU's TCG, not on KVM.";
        ink = YELLOW;
    } else if (verdict->levels_below < 0) {
        answer = "Not proven: what was read does not tell whether a nest runs here.";
        ink = YELLOW;
    } else {
        answer = "No: no nest runs here.";
        ink = RED;
    }
    g_string_append(page->text, ink_code(page, ink));
    add_wrapped(page, 0, answer);
    g_string_append(page->text, ink_end(page, ink));
    if (verdict->cause == NULL)
        return;
    g_autofree char *first = g_strdup_printf(
        "%s %s (%s)",
        strcmp(verdict->word, "none") == 0 ? "The first thing in the way:" : "In the way of KVM:",
        ireko_cause_summary(verdict->cause), verdict->cause);
    add_wrapped(page, 0, first);
}

static char *
describe_above(const IrekoVerdict *verdict)
{
    const IrekoFacts *facts = verdict->facts;
    const IrekoSurvey *survey = verdict->survey;
    GString *text = g_string_new(facts->above != NULL ? facts->above : "unknown");
    if (survey->xen != NULL)
        g_string_append_printf(text, " %s", survey->xen);
    if (survey->cloud != NULL)
        g_string_append_printf(text, ", cloud %s", survey->cloud);
    g_string_append_printf(text, " (%s)",
                           facts->above_evidence != NULL ? facts->above_evidence : "?");
    if (survey->container != NULL)
        g_string_append_printf(text, "; container %s (%s)", survey->container,
                               survey->container_evidence != NULL ? survey->container_evidence
                                                                  : "?");
    return g_string_free(text, FALSE);
}

static void
add_chain(Page *page, const IrekoVerdict *verdict)
{
    const IrekoFacts *facts = verdict->facts;
    g_string_append_c(page->text, '\n');
    g_autofree char *model =
        g_strdup_printf("%s, %s", facts->cpu_vendor != NULL ? facts->cpu_vendor : "unknown vendor",
                        facts->cpu_model != NULL ? facts->cpu_model : "unknown model");
    g_autofree char *above = describe_above(verdict);
    add_row(page, " ", PLAIN, "model", model);
    add_row(page, " ", PLAIN, "above", above);
    for (guint i = 0; i < verdict->links->len; i++) {
        const IrekoLink *link = verdict->links->pdata[i];
        Ink ink = PLAIN;
        const char *mark = link_mark(page, link->state, &ink);
        add_row(page, mark, ink, link->name, link->evidence);
    }
    g_autofree char *levels =
        verdict->levels_below >= 0
            ? g_strdup_printf("%d%s: %s", verdict->levels_below,
                              verdict->levels_below >= 2 ? " or more" : "", verdict->levels_why)
            : g_strdup_printf("unknown: %s", verdict->levels_why);
    add_row(page, " ", PLAIN, "below", levels);
}

static void
add_remedy(Page *page, const IrekoVerdict *verdict)
{
    const IrekoRemedy *remedy = verdict->remedy;
    if (remedy == NULL)
        return;
    add_heading(page, "What to do");
    g_string_append(page->text, "  ");
    add_wrapped(page, 2, remedy->text);
    for (size_t i = 0; remedy->commands[i] != NULL; i++)
        g_string_append_printf(page->text, "      %s\n", remedy->commands[i]);
    g_autoptr(GString) needs = g_string_new("It needs ");
    for (size_t i = 0; remedy->needs[i] != NULL; i++)
        g_string_append_printf(needs, "%s%s", i > 0 ? ", and " : "",
                               ireko_need_words(remedy->needs[i]));
    if (remedy->needs[0] != NULL) {
        g_string_append(page->text, "  ");
        add_wrapped(page, 2, g_string_append_c(needs, '.')->str);
    }
    g_string_append_printf(page->text, "  More, for every platform: ireko check --explain %s\n",
                           verdict->cause);
}

/* What INNER comes to, on a line. */
static char *
describe_inner(const IrekoInner *inner)
{
    if (inner->message != NULL)
        return g_strdup_printf("did not answer: %s", inner->message);
    GString *text = g_string_new(inner->word);
    if (inner->levels_below >= 0)
        g_string_append_printf(text, ", %d%s below", inner->levels_below,
                               inner->levels_below >= 2 ? " or more" : "");
    if (inner->cause != NULL)
        g_string_append_printf(text, "; %s", inner->cause);
    if (inner->link != NULL)
        g_string_append_printf(text, " at %s: %s", inner->link,
                               inner->evidence != NULL ? inner->evidence : "?");
    return g_string_free(text, FALSE);
}

static const char *
inner_mark(const Page *page, const IrekoInner *inner, Ink *ret_ink)
{
    bool none = g_strcmp0(inner->word, "none") == 0;
    IrekoLinkState state = inner->message != NULL ? IREKO_LINK_UNKNOWN
                           : none                 ? IREKO_LINK_BROKEN
                                                  : IREKO_LINK_OK;
    const char *mark = link_mark(page, state, ret_ink);
    if (none || g_strcmp0(inner->word, "software") == 0)
        *ret_ink = YELLOW; /* a machine need not be meant to have guests */
    return mark;
}

/* As many labs as there are among the layers inside. */
static bool
has_labs(const IrekoVerdict *verdict)
{
    const IrekoInner *first = verdict->inner->pdata[0];
    const IrekoInner *last = verdict->inner->pdata[verdict->inner->len - 1];
    return g_strcmp0(first->lab, last->lab) != 0; /* they are sorted */
}

static void
add_inner(Page *page, const IrekoVerdict *verdict)
{
    if (verdict->inner->len == 0)
        return;
    add_heading(page, "The layers inside");
    bool labs = has_labs(verdict);
    for (guint i = 0; i < verdict->inner->len; i++) {
        const IrekoInner *inner = verdict->inner->pdata[i];
        Ink ink = PLAIN;
        const char *mark = inner_mark(page, inner, &ink);
        g_autofree char *name =
            labs ? g_strconcat(inner->lab, ":", inner->path, NULL) : g_strdup(inner->path);
        g_autofree char *words = describe_inner(inner);
        g_string_append_printf(page->text, "  %s%s%s %s\n      ", ink_code(page, ink), mark,
                               ink_end(page, ink), name);
        add_wrapped(page, 6, words);
    }
}

static void
add_findings(Page *page, const IrekoVerdict *verdict)
{
    guint first = verdict->cause != NULL ? 1 : 0; /* that is in the headline */
    if (verdict->findings->len > first)
        add_heading(page, "Worth knowing");
    for (guint i = first; i < verdict->findings->len; i++) {
        const IrekoFinding *finding = verdict->findings->pdata[i];
        bool is_info = finding->severity == IREKO_SEVERITY_INFO;
        g_autofree char *words =
            g_strconcat(finding->what, finding->fix != NULL ? "; " : "", finding->fix, NULL);
        Ink ink = is_info ? PLAIN : YELLOW;
        g_string_append_printf(page->text, "  %s%s%s ", ink_code(page, ink), is_info ? "-" : "!",
                               ink_end(page, ink));
        add_wrapped(page, 4, words);
    }
}

static void
add_unread(Page *page, const IrekoVerdict *verdict)
{
    if (verdict->unread->len == 0)
        return;
    add_heading(page, "Not read");
    for (guint i = 0; i < verdict->unread->len; i++) {
        g_string_append(page->text, "  - ");
        add_wrapped(page, 4, verdict->unread->pdata[i]);
    }
}

static const char *
yes_no(IrekoRead read)
{
    static const char *const words[] = {"unknown", "yes", "no", "denied"};
    return words[read];
}

static void
add_device(GString *text, const char *name, const IrekoDevice *device)
{
    g_string_append_printf(text, "%s%s %s", text->len > 0 ? ", " : "", name,
                           device->there == IREKO_READ_NO    ? "absent"
                           : device->open_errno == 0         ? "opens"
                           : device->open_errno > 0          ? g_strerror(device->open_errno)
                           : device->there == IREKO_READ_YES ? "there"
                                                             : "unknown");
}

/* What virt-host-validate looks at besides, in a few lines. */
static void
add_host(Page *page, const IrekoVerdict *verdict)
{
    const IrekoSurvey *survey = verdict->survey;
    add_heading(page, "This host");
    g_autofree char *kernel = g_strdup_printf(
        "%s, %s%s%s", verdict->facts->kernel != NULL ? verdict->facts->kernel : "unknown",
        survey->arch != NULL ? survey->arch : "unknown", survey->distribution != NULL ? ", " : "",
        survey->distribution != NULL ? survey->distribution : "");
    add_row(page, " ", PLAIN, "kernel", kernel);
    g_autofree char *qemu =
        survey->qemu.path != NULL
            ? g_strdup_printf("%s, version %s; KVM %s, TCG %s", survey->qemu.path,
                              survey->qemu.version != NULL ? survey->qemu.version : "unknown",
                              survey->qemu.has_kvm ? "yes" : "no",
                              survey->qemu.has_tcg ? "yes" : "no")
            : g_strdup(survey->qemu.evidence != NULL ? survey->qemu.evidence : "not known");
    add_row(page, " ", PLAIN, "QEMU", qemu);
    g_autoptr(GString) devices = g_string_new(NULL);
    add_device(devices, "/dev/kvm", &survey->kvm);
    add_device(devices, "/dev/vhost-net", &survey->vhost_net);
    add_device(devices, "/dev/net/tun", &survey->tun);
    add_device(devices, "/dev/sev", &survey->sev);
    add_row(page, " ", PLAIN, "devices", devices->str);
    g_autofree char *groups = g_strdup_printf(
        "version %u: %s", survey->cgroup_version,
        survey->cgroup_controllers != NULL ? survey->cgroup_controllers : "none seen");
    add_row(page, " ", PLAIN, "cgroups", groups);
    g_autofree char *rest = g_strdup_printf(
        "namespaces %s; FUSE %s; IOMMU %s; confidential guest: SEV %s, TDX %s; clock %s",
        survey->namespaces != NULL ? survey->namespaces : "unknown", yes_no(survey->fuse),
        yes_no(survey->iommu), yes_no(survey->sev_guest), yes_no(survey->tdx_guest),
        survey->clock_source != NULL ? survey->clock_source : "unknown");
    add_row(page, " ", PLAIN, "besides", rest);
}

char *
ireko_verdict_to_text(const IrekoVerdict *verdict, const IrekoCheckStyle *style)
{
    Page page = {.style = style, .text = g_string_new(NULL)};
    add_headline(&page, verdict);
    add_chain(&page, verdict);
    add_remedy(&page, verdict);
    add_inner(&page, verdict);
    add_findings(&page, verdict);
    add_host(&page, verdict);
    add_unread(&page, verdict);
    return g_string_free(page.text, FALSE);
}
