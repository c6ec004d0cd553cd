/* cli/words.c - a nest's outcome in words: what was proven, or what broke and how to mend it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

char *
cli_wrap(const char *text, unsigned width, const char *first, const char *margin)
{
    g_autoptr(GString) out = g_string_new(first);
    g_auto(GStrv) words = g_strsplit_set(text, " \t\n", -1);
    long column = g_utf8_strlen(first, -1);
    bool begins = true;
    for (size_t i = 0; words[i] != NULL; i++) {
        long len = g_utf8_strlen(words[i], -1);
        if (len == 0)
            continue;
        bool breaks = width > 0 && !begins && column + 1 + len > (long)width;
        const char *gap = breaks ? margin : begins ? "" : " ";
        g_string_append_printf(out, "%s%s%s", breaks ? "\n" : "", gap, words[i]);
        column = (breaks ? 0 : column) + g_utf8_strlen(gap, -1) + len;
        begins = false;
    }
    g_string_append_c(out, '\n');
    return g_string_free(g_steal_pointer(&out), FALSE);
}

void
cli_print_json(json_t *document)
{
    char *text = json_dumps(document, JSON_INDENT(1));
    (void)puts(text);
    free(text);
    json_decref(document);
}

unsigned
cli_width(int fd)
{
    return cli_is_terminal(fd) ? cli_columns() : 0;
}

static void
say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Prints a paragraph; on a terminal what belongs to an item ("- ...") is set in. */
static void
say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *lines =
        cli_wrap(text, cli_width(STDOUT_FILENO), "", g_str_has_prefix(text, "- ") ? "  " : "");
    (void)fputs(lines, stdout);
}

/* The check WHAT of REPORT, or NULL. */
static const IrekoCheck *
check_of(const IrekoReport *report, const char *what)
{
    for (unsigned i = 0; i < report->checks->len; i++) {
        const IrekoCheck *check = report->checks->pdata[i];
        if (strcmp(check->what, what) == 0)
            return check;
    }
    return NULL;
}

static unsigned
count_ssds(const IrekoReport *report)
{
    unsigned ssds = 0;
    for (unsigned i = 0; i < report->checks->len; i++) {
        const IrekoCheck *check = report->checks->pdata[i];
        if (strcmp(check->what, "disk.ssd") == 0 && g_strcmp0(check->seen, "true") == 0 &&
            check->ok)
            ssds++;
    }
    return ssds;
}

static void
print_proven(const IrekoNest *nest)
{
    unsigned hypervisors = 0, ssds = 0, unknown = 0;
    const IrekoReport *deepest = NULL;
    const char *hv = "";
    for (unsigned i = 0; i < nest->reports->len; i++) {
        const IrekoReport *report = nest->reports->pdata[i];
        const IrekoCheck *check = check_of(report, "kvm");
        if (check != NULL && check->ok && check->seen != NULL) {
            hypervisors++;
            hv = check_of(report, "hv")->seen;
        }
        ssds += count_ssds(report);
        unknown += check_of(report, "cpus") == NULL || check_of(report, "cpus")->seen == NULL;
        if (deepest == NULL || report->level > deepest->level)
            deepest = report;
    }
    (void)printf("Every promise held");
    if (unknown < nest->reports->len)
        (void)printf(", read back from inside each machine");
    (void)printf(".\n");
    if (hypervisors > 0)
        say("- %u hypervisor%s inside: hardware assistance (%s) with nested paging arrived, and "
            "each one's own /dev/kvm ran a vCPU.",
            hypervisors, hypervisors == 1 ? "" : "s", hv);
    if (ssds > 0)
        say("- %u disk%s seen as SSD, as virtualSSD says.", ssds, ssds == 1 ? " is" : "s are");
    if (unknown > 0)
        say("- %u machine%s a system of your own: what it sees is unknown.", unknown,
            unknown == 1 ? " runs" : "s run");
    say("- Outermost accelerator: %s.%s", nest->accel,
        strcmp(nest->accel, "tcg") == 0 ? " Software: right in what it shows, slower than silicon."
                                        : "");
    (void)printf("\nTry next:\n"
                 "  ireko exec %s -- cat /proc/cpuinfo\n"
                 "  ireko console %s        (Ctrl-] leaves)\n"
                 "  ireko verify %s\n"
                 "  ireko down %s\n",
                 deepest->path, deepest->path, nest->lab, nest->lab);
}

/* A check that did not hold. What was promised and seen may be the same, and yet not do. */
static void
say_broken(const IrekoReport *report, const IrekoCheck *check)
{
    g_autofree char *what = cli_check_words(check);
    if (g_strcmp0(check->cause, "vhv-off") == 0)
        say("- %s: its .vmx gives it no hardware assistance, and its guests need some (vhv-off)",
            report->path);
    else if (g_strcmp0(check->promised, check->seen) == 0)
        say("- %s: %s is %s as promised, and yet not right: %s", report->path, what, check->seen,
            check->evidence != NULL ? check->evidence : check->cause);
    else
        say("- %s: %s was promised %s, seen %s (%s)", report->path, what, check->promised,
            check->seen != NULL ? check->seen : "nothing", check->cause);
}

static void
print_broken_checks(const IrekoReport *report, GHashTable *fixes)
{
    for (unsigned i = 0; i < report->checks->len; i++) {
        const IrekoCheck *check = report->checks->pdata[i];
        if (check->ok || (check->seen == NULL && g_strcmp0(check->cause, "unknown") == 0))
            continue;
        if (report->state != IREKO_STATE_NOT_STARTED)
            say_broken(report, check);
        if (check->fix != NULL)
            g_hash_table_add(fixes, check->fix);
    }
}

static bool
anything_runs(const IrekoNest *nest)
{
    for (unsigned i = 0; i < nest->reports->len; i++) {
        const IrekoReport *report = nest->reports->pdata[i];
        if (report->accel != NULL && report->origin != NULL)
            return true;
    }
    return false;
}

static void
print_broken(const IrekoNest *nest)
{
    g_autoptr(GHashTable) fixes = g_hash_table_new(g_str_hash, g_str_equal);
    (void)printf("Not every promise held:\n");
    for (unsigned i = 0; i < nest->reports->len; i++) {
        const IrekoReport *report = nest->reports->pdata[i];
        if (report->message != NULL && !ireko_report_ok(report))
            say("- %s: %s: %s", report->path, ireko_state_name(report->state), report->message);
        if (report->console != NULL)
            (void)printf("  the last lines of its console:\n%s\n", report->console);
        print_broken_checks(report, fixes);
    }
    GHashTableIter iter;
    void *fix;
    g_hash_table_iter_init(&iter, fixes);
    while (g_hash_table_iter_next(&iter, &fix, NULL))
        (void)printf("\nTo mend it: %s\n", (const char *)fix);
    if (anything_runs(nest))
        (void)printf("\nWhat runs goes on running: 'ireko down %s' ends it.\n", nest->lab);
}

void
words_print(const IrekoNest *nest)
{
    (void)putchar('\n');
    if (nest->ok)
        print_proven(nest);
    else
        print_broken(nest);
}
