/* nest/report.c - what is known of one machine, as a value. */
#include <string.h>

#include <ireko/report.h>

#include "nest/parts.h"

static const char *const state_names[] = {
    [IREKO_STATE_DEFINED] = "defined",         [IREKO_STATE_STARTING] = "starting",
    [IREKO_STATE_PROVING] = "proving",         [IREKO_STATE_RUNNING] = "running",
    [IREKO_STATE_NOT_STARTED] = "not-started", [IREKO_STATE_FAILED] = "failed",
    [IREKO_STATE_STOPPED] = "stopped",
};

const char *
ireko_state_name(IrekoState state)
{
    g_return_val_if_fail((size_t)state < G_N_ELEMENTS(state_names), "defined");
    return state_names[state];
}

IrekoCheck *
ireko_check_new(const char *what, const char *device, const char *promised)
{
    IrekoCheck *check = g_new0(IrekoCheck, 1);
    check->what = g_strdup(what);
    check->device = g_strdup(device);
    check->promised = g_strdup(promised);
    check->cause = g_strdup(IREKO_CAUSE_UNKNOWN);
    return check;
}

void
ireko_check_settle(
    IrekoCheck *check, const char *seen, bool ok, const char *cause, const char *evidence)
{
    g_free(check->seen);
    g_free(check->cause);
    g_free(check->evidence);
    check->seen = g_strdup(seen);
    check->ok = ok;
    check->cause = g_strdup(ok ? NULL : cause);
    check->evidence = g_strdup(evidence);
}

void
ireko_check_free(IrekoCheck *check)
{
    if (check == NULL)
        return;
    g_free(check->what);
    g_free(check->device);
    g_free(check->promised);
    g_free(check->seen);
    g_free(check->evidence);
    g_free(check->cause);
    g_free(check->fix);
    g_free(check);
}

static void
free_check(void *check)
{
    ireko_check_free(check);
}

static IrekoCheck *
copy_check(const IrekoCheck *check)
{
    IrekoCheck *copy = ireko_check_new(check->what, check->device, check->promised);
    ireko_check_settle(copy, check->seen, check->ok, check->cause, check->evidence);
    copy->fix = g_strdup(check->fix);
    return copy;
}

IrekoLoss *
ireko_loss_new(const char *name, const char *by)
{
    IrekoLoss *loss = g_new0(IrekoLoss, 1);
    loss->name = g_strdup(name);
    loss->by = g_strdup(by);
    return loss;
}

static void
free_loss(void *data)
{
    IrekoLoss *loss = data;
    g_free(loss->name);
    g_free(loss->by);
    g_free(loss);
}

IrekoReport *
ireko_report_new(const char *path, unsigned level)
{
    IrekoReport *report = g_new0(IrekoReport, 1);
    report->path = g_strdup(path);
    report->level = level;
    report->state = IREKO_STATE_DEFINED;
    report->origin = g_strdup("boot");
    report->ready_seconds = -1;
    report->proven_seconds = -1;
    report->checks = g_ptr_array_new_with_free_func(free_check);
    report->lost = g_ptr_array_new_with_free_func(free_loss);
    report->addresses = ireko_addresses_new();
    return report;
}

IrekoReport *
ireko_report_copy(const IrekoReport *report)
{
    IrekoReport *copy = ireko_report_new(report->path, report->level);
    copy->state = report->state;
    g_free(copy->origin);
    copy->origin = g_strdup(report->origin);
    copy->accel = g_strdup(report->accel);
    copy->ready_seconds = report->ready_seconds;
    copy->proven_seconds = report->proven_seconds;
    copy->message = g_strdup(report->message);
    copy->console = g_strdup(report->console);
    for (guint i = 0; i < report->checks->len; i++)
        g_ptr_array_add(copy->checks, copy_check(g_ptr_array_index(report->checks, i)));
    for (guint i = 0; i < report->lost->len; i++) {
        const IrekoLoss *loss = g_ptr_array_index(report->lost, i);
        g_ptr_array_add(copy->lost, ireko_loss_new(loss->name, loss->by));
    }
    for (guint i = 0; i < report->addresses->len; i++)
        g_ptr_array_add(copy->addresses,
                        ireko_address_copy(g_ptr_array_index(report->addresses, i)));
    return copy;
}

void
ireko_report_free(IrekoReport *report)
{
    if (report == NULL)
        return;
    g_free(report->path);
    g_free(report->origin);
    g_free(report->accel);
    g_free(report->message);
    g_free(report->console);
    g_ptr_array_unref(report->checks);
    g_ptr_array_unref(report->lost);
    g_ptr_array_unref(report->addresses);
    g_free(report);
}

/* Nobody inside could tell: neither kept nor broken. */
static bool
is_unknown(const IrekoCheck *check)
{
    return check->seen == NULL && g_strcmp0(check->cause, IREKO_CAUSE_UNKNOWN) == 0;
}

bool
ireko_report_ok(const IrekoReport *report)
{
    if (report->state != IREKO_STATE_RUNNING)
        return false;
    for (guint i = 0; i < report->checks->len; i++) {
        const IrekoCheck *check = g_ptr_array_index(report->checks, i);
        if (!check->ok && !is_unknown(check))
            return false;
    }
    return true;
}
