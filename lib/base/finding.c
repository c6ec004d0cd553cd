/* base/finding.c - what a finding owns. */
#include <ireko/finding.h>

const char *
ireko_severity_name(IrekoSeverity severity)
{
    switch (severity) {
    case IREKO_SEVERITY_INFO:
        return "info";
    case IREKO_SEVERITY_WARNING:
        return "warning";
    case IREKO_SEVERITY_ERROR:
        return "error";
    }
    return "error";
}

IrekoFinding *
ireko_finding_new(const char *code, IrekoSeverity severity)
{
    IrekoFinding *finding = g_new0(IrekoFinding, 1);
    finding->code = g_strdup(code);
    finding->severity = severity;
    return finding;
}

void
ireko_finding_free(IrekoFinding *finding)
{
    if (finding == NULL)
        return;
    g_free(finding->code);
    g_free(finding->file);
    g_free(finding->what);
    g_free(finding->evidence);
    g_free(finding->fix);
    g_free(finding->source);
    g_free(finding);
}

static void
free_finding(void *finding)
{
    ireko_finding_free(finding);
}

GPtrArray *
ireko_findings_new(void)
{
    return g_ptr_array_new_with_free_func(free_finding);
}
