/* host/survey-qemu.c - what a record says of the host's QEMU: "qemu PATH VERSION WORD...". */
#include <string.h>

#include "host/parts.h"

/* Which words there are: what it has, and what its TCG offers by `-cpu max`. */
#define WORD_KVM "kvm"
#define WORD_TCG "tcg"
#define WORD_SVM "svm"
#define WORD_NPT "npt"
#define WORD_VMX "vmx"

static IrekoRead
offers(char *const *words, const char *word)
{
    return g_strv_contains((const char *const *)words, word) ? IREKO_READ_YES : IREKO_READ_NO;
}

void
ireko_host_hear_of_qemu(const IrekoHostSource *source, IrekoQemuFact *qemu)
{
    const char *told = ireko_host_told(source, "qemu");
    if (told == NULL)
        return;
    if (strcmp(told, "none") == 0) {
        qemu->evidence = g_strdup("the record says that there is none");
        return;
    }
    g_auto(GStrv) words = g_strsplit(told, " ", -1);
    if (g_strv_length(words) < 2)
        return;
    qemu->path = g_strdup(words[0]);
    qemu->version = g_strdup(words[1]);
    qemu->has_kvm = offers(words + 2, WORD_KVM) == IREKO_READ_YES;
    qemu->has_tcg = offers(words + 2, WORD_TCG) == IREKO_READ_YES;
    qemu->tcg_svm = offers(words + 2, WORD_SVM);
    qemu->tcg_npt = offers(words + 2, WORD_NPT);
    qemu->tcg_vmx = offers(words + 2, WORD_VMX);
    qemu->evidence = g_strdup("the record says so");
}

/* Where a package put it; another place may be somebody's own folder, which names them. */
static char *
public_path(const char *path)
{
    char *shown = g_str_has_prefix(path, "/usr/") ? g_strdup(path) : g_path_get_basename(path);
    return g_strdelimit(shown, " \t\n\r", '_');
}

char *
ireko_host_tell_of_qemu(const IrekoQemuFact *qemu)
{
    if (qemu->path == NULL || qemu->version == NULL || qemu->tcg_svm == IREKO_READ_UNKNOWN)
        return NULL;
    g_autofree char *path = public_path(qemu->path);
    return g_strdup_printf("%s %s%s%s%s%s%s", path, qemu->version,
                           qemu->has_kvm ? " " WORD_KVM : "", qemu->has_tcg ? " " WORD_TCG : "",
                           qemu->tcg_svm == IREKO_READ_YES ? " " WORD_SVM : "",
                           qemu->tcg_npt == IREKO_READ_YES ? " " WORD_NPT : "",
                           qemu->tcg_vmx == IREKO_READ_YES ? " " WORD_VMX : "");
}
