/* vmx/lint-file.c - the one rule that is asked of the file itself, not of what is in it. */
#include <fcntl.h>

#include "base/fd.h"
#include "base/text.h"
#include "vmx/busy.h"
#include "vmx/lint-rule.h"

IrekoFinding *
ireko_lint_locked(const IrekoVmx *doc, const char *file)
{
    g_autofree char *real = g_canonicalize_filename(file, NULL);
    g_autofree char *folder = g_path_get_dirname(real);
    g_autofree char *name = g_path_get_basename(real);
    IREKO_AUTOFD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GError) why = NULL;
    if (fd < 0 || ireko_busy_check(fd, name, file, doc, &why) == IREKO_BUSY_NO)
        return NULL;
    const Rule *rule = ireko_lint_find_rule("file-locked");
    IrekoFinding *finding = ireko_finding_new(rule->code, rule->severity);
    finding->file = g_strdup(file);
    finding->what = g_strdup(rule->what);
    finding->evidence = g_strdelimit(ireko_text_safe(why->message, (size_t)-1), "\n\t", ' ');
    finding->fix = g_strdup("power the machine off and close it in VMware before it is edited");
    finding->source = g_strdup(rule->source);
    return finding;
}
