/* cli/see-way.c - the way of an address through the layers, drawn for a terminal. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "see.h"

#define RED   "\033[31m"
#define BOLD  "\033[1m"
#define DIM   "\033[2m"
#define PLAIN "\033[0m"

/* How it is drawn here. */
typedef struct {
    const char *bold, *dim, *red, *plain; /* "" without colours */
    const char *line, *arrow, *no;
    unsigned width;
    char **names; /* of the layers' machines, the outermost first: names[0] is of layer 1 */
} Style;

static Style
style_new(const char *path)
{
    bool terminal = cli_is_terminal(STDOUT_FILENO), utf8 = g_get_charset(NULL);
    unsigned width = cli_width(STDOUT_FILENO);
    return (Style){.bold = terminal ? BOLD : "",
                   .dim = terminal ? DIM : "",
                   .red = terminal ? RED : "",
                   .plain = terminal ? PLAIN : "",
                   .line = utf8 ? "│" : "|",
                   .arrow = utf8 ? "▼" : "v",
                   .no = utf8 ? "✗" : "x",
                   .width = width > 0 ? width : 80,
                   .names = g_strsplit(path != NULL ? path : "", "/", -1)};
}

/* The name of the machine that is LAYER. */
static const char *
name_of(const Style *style, unsigned layer)
{
    static const char *const unnamed[] = {"L0", "L1", "L2", "L3", "L4", "the machine"};
    if (layer > 0 && layer <= g_strv_length(style->names))
        return style->names[layer - 1];
    return unnamed[MIN(layer, G_N_ELEMENTS(unnamed) - 1)];
}

static char *
page_words(uint64_t bytes)
{
    if (bytes == 0)
        return g_strdup("table");
    return bytes >= (UINT64_C(1) << 30)   ? g_strdup_printf("%" PRIu64 " GiB page", bytes >> 30)
           : bytes >= (UINT64_C(1) << 20) ? g_strdup_printf("%" PRIu64 " MiB page", bytes >> 20)
                                          : g_strdup_printf("%" PRIu64 " KiB page", bytes >> 10);
}

static bool
is_of_process(const IrekoSeeStep *step)
{
    return strcmp(step->kind, "process") == 0;
}

/* Whether entry AT of WALK is the one that maps nothing, where a process has what should be there.
 */
static bool
is_hole(const IrekoSeeWalk *walk, guint at)
{
    const IrekoSeeStep *step = &g_array_index(walk->steps, IrekoSeeStep, at);
    for (guint i = at + 1; i < walk->steps->len && !is_of_process(step); i++) {
        const IrekoSeeStep *next = &g_array_index(walk->steps, IrekoSeeStep, i);
        if (next->last && next->layer == step->layer)
            return is_of_process(next);
    }
    return false;
}

static void
print_step(const Style *style, const IrekoSeeStep *step, bool ends, bool hole)
{
    g_autofree char *page = ends   ? g_strdup("ends here")
                            : hole ? g_strdup("nothing")
                                   : page_words(step->page_bytes);
    (void)printf("  %s    %-4s %012" PRIx64 "  ", style->line, step->table, step->entry_at);
    if (step->unread)
        (void)printf("%s%s no memory there%s\n", style->red, style->no, style->plain);
    else
        (void)printf("%s%016" PRIx64 "%s  %-15s  %s%s%s\n", style->dim, step->raw, style->plain,
                     step->flags, ends ? style->red : "", page, ends ? style->plain : "");
}

/* The entries of the table that LAYER built, those on the way of the address itself. */
static void
print_table(const Style *style, const IrekoSeeWalk *walk, unsigned layer, bool own)
{
    bool begun = false, in_process = false;
    const IrekoSeeStep *final = NULL;
    for (guint i = 0; i < walk->steps->len; i++) {
        const IrekoSeeStep *step = &g_array_index(walk->steps, IrekoSeeStep, i);
        if (step->last && step->layer == layer && (strcmp(step->kind, "own") == 0) == own)
            final = step;
    }
    for (guint i = 0; i < walk->steps->len; i++) {
        const IrekoSeeStep *step = &g_array_index(walk->steps, IrekoSeeStep, i);
        if (!step->last || step->layer != layer || (strcmp(step->kind, "own") == 0) != own)
            continue;
        if (!begun && own)
            (void)printf("  %s  %s's own page tables\n", style->line, name_of(style, layer));
        else if (!begun)
            (void)printf("  %s  the nested table (%s) that %s built for %s\n", style->line,
                         step->kind, name_of(style, layer), name_of(style, layer + 1));
        else if (is_of_process(step) && !in_process)
            (void)printf("  %s  the page tables of the process in %s that has %s's memory\n",
                         style->line, name_of(style, layer), name_of(style, layer + 1));
        begun = true;
        in_process = is_of_process(step);
        print_step(style, step, !walk->ok && step == final && walk->denied_layer == layer,
                   is_hole(walk, i));
    }
}

static void
print_place(const Style *style, const IrekoSeePlace *place, const IrekoSeen *seen)
{
    const char *words = strcmp(place->space, "gva") == 0   ? "virtual "
                        : strcmp(place->space, "gpa") == 0 ? "physical"
                                                           : "offset  ";
    (void)printf("  %sL%u %s 0x%" PRIx64 "%s", style->bold, place->layer, words, place->at,
                 style->plain);
    if (place->layer == 0 && seen->ram_base > 0)
        (void)printf(" of %s, from 0x%" PRIx64 " on", seen->ram_file, seen->ram_base);
    else if (place->layer == 0)
        (void)printf(" of %s", seen->ram_file);
    else
        (void)printf("  %s", name_of(style, place->layer));
    (void)puts("");
}

static void
print_end(const Style *style, const IrekoSeeWalk *walk)
{
    if (!walk->ok) {
        const char *table = walk->denied_table;
        (void)printf("  %s%s %s%s: %s%s of %s (L%u) ends the way\n", style->red, style->no,
                     walk->cause, style->plain, table != NULL ? "the " : "the tables",
                     table != NULL ? table : "", name_of(style, walk->denied_layer),
                     walk->denied_layer);
        return;
    }
    size_t len = 0;
    const uint8_t *bytes = walk->bytes != NULL ? g_bytes_get_data(walk->bytes, &len) : NULL;
    (void)printf("\n    ");
    for (size_t i = 0; i < len; i++)
        (void)printf(" %02x", bytes[i]);
    (void)puts("");
    for (guint i = 0; walk->code != NULL && i < walk->code->len; i++)
        (void)printf("     %s\n", (const char *)g_ptr_array_index(walk->code, i));
}

static void
print_walk(const Style *style, const IrekoSeen *seen, const IrekoSeeWalk *walk)
{
    unsigned inside = 0;
    for (guint i = 0; i < walk->chain->len; i++) {
        const IrekoSeePlace *place = &g_array_index(walk->chain, IrekoSeePlace, i);
        if (i > 0)
            (void)printf("  %s\n", style->arrow);
        print_place(style, place, seen);
        if (place->layer == 0)
            break;
        bool own = strcmp(place->space, "gva") == 0;
        if (own || place->layer > 1)
            print_table(style, walk, own ? place->layer : place->layer - 1, own);
        else if (walk->ok)
            (void)printf("  %s  %s's memory is a file of this host\n", style->line,
                         name_of(style, 1));
    }
    for (guint i = 0; i < walk->steps->len; i++)
        inside += !g_array_index(walk->steps, IrekoSeeStep, i).last;
    print_end(style, walk);
    if (walk->moved != NULL)
        (void)printf("     %smoved between two readings:%s %s\n", style->red, style->plain,
                     walk->moved);
    if (inside > 0)
        (void)printf("\n  %u entries were read on this way, and %u more to find the tables "
                     "themselves.\n",
                     walk->steps->len - inside, inside);
}

static void
print_text(const Style *style, const IrekoSeen *seen)
{
    bool moved = false;
    for (guint i = 0; i < seen->vcpus->len; i++) {
        const IrekoSeeVcpu *vcpu = g_ptr_array_index(seen->vcpus, i);
        for (guint k = 0; k < vcpu->walks->len; k++) {
            const IrekoSeeWalk *walk = g_ptr_array_index(vcpu->walks, k);
            bool rip = strcmp(walk->what, "rip") == 0;
            (void)printf("%s%s, vCPU %u%s (%s): %s\n", style->bold,
                         seen->path != NULL ? seen->path : seen->ram_file, vcpu->vcpu, style->plain,
                         vcpu->mode, rip ? "what it runs now" : "one address");
            print_walk(style, seen, walk);
            (void)puts("");
            moved = moved || walk->moved != NULL;
        }
        if (vcpu->evidence != NULL) {
            g_autofree char *text = cli_wrap(vcpu->evidence, style->width, "  Its vCPU: ", "    ");
            (void)fputs(text, stdout);
        }
    }
    if (seen->path != NULL && seen->still_us < 0)
        (void)printf("  Read twice while it ran%s.\n", moved ? "" : ": nothing moved");
    if (seen->still_us >= 0)
        (void)printf("  %s stood still for %.1f ms; all of this is of that moment.\n",
                     name_of(style, 1), (double)seen->still_us / 1000);
}

static int
print(const IrekoSeen *seen, const SeeOptions *options)
{
    bool all = true;
    for (guint i = 0; i < seen->vcpus->len; i++) {
        const IrekoSeeVcpu *vcpu = g_ptr_array_index(seen->vcpus, i);
        for (guint k = 0; k < vcpu->walks->len; k++)
            all = all && ((const IrekoSeeWalk *)g_ptr_array_index(vcpu->walks, k))->ok;
    }
    if (options->json) {
        g_autofree char *text = ireko_seen_to_json(seen);
        (void)puts(text);
    } else {
        Style style = style_new(seen->path);
        print_text(&style, seen);
        g_strfreev(style.names);
    }
    return all ? EXIT_DONE : EXIT_NO;
}

/* Reads TEXT, in hex with or without 0x. */
static bool
read_address(const char *text, uint64_t *ret_address)
{
    const char *digits = g_ascii_strncasecmp(text, "0x", 2) == 0 ? text + 2 : text;
    size_t len = strlen(digits);
    if (len == 0 || len > 16 || strspn(digits, "0123456789abcdefABCDEF") != len)
        return false;
    *ret_address = g_ascii_strtoull(digits, NULL, 16);
    return true;
}

int
see_addresses(const IrekoHome *home,
              const IrekoSeeOrder *order,
              const SeeOptions *options,
              GError **error)
{
    g_autoptr(GArray) addresses = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    for (size_t i = 0; options->addresses != NULL && options->addresses[i] != NULL; i++) {
        uint64_t address = 0;
        if (!read_address(options->addresses[i], &address)) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                        "'%s' is not an address: expected up to 16 hex digits, as in "
                        "0xffffffff81000000",
                        options->addresses[i]);
            return EXIT_USAGE;
        }
        g_array_append_val(addresses, address);
    }
    if (addresses->len > IREKO_SEE_ADDRESSES_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE, "%u addresses: at most %d at a time",
                    addresses->len, IREKO_SEE_ADDRESSES_MAX);
        return EXIT_USAGE;
    }
    IrekoSeeOrder whole = *order;
    whole.addresses = (const uint64_t *)(void *)addresses->data;
    whole.n = addresses->len;
    g_autoptr(IrekoSeen) seen = ireko_see(home, &whole, error);
    return seen != NULL ? print(seen, options) : EXIT_NO;
}
