/* nest/offer.c - what a layer can give to its guests, and why it cannot. */
#include <string.h>

#include "nest/parts.h"

const char *
ireko_accel_name(IrekoAccel accel)
{
    return accel == IREKO_ACCEL_KVM ? "kvm" : "tcg";
}

bool
ireko_nest_is_off(const IrekoFacts *facts)
{
    static const char *const off[] = {"kvm_amd.nested=0", "kvm_amd.nested=N", "kvm_intel.nested=0",
                                      "kvm_intel.nested=N"};
    for (guint i = 0; i < facts->kvm_params->len; i++) {
        const char *param = g_ptr_array_index(facts->kvm_params, i);
        for (size_t k = 0; k < G_N_ELEMENTS(off); k++) {
            if (strcmp(param, off[k]) == 0)
                return true;
        }
    }
    return false;
}

IrekoHv
ireko_nest_offer(const IrekoFacts *facts, IrekoAccel accel)
{
    if (accel == IREKO_ACCEL_TCG)
        return IREKO_HV_SVM;
    return ireko_nest_is_off(facts) ? IREKO_HV_NONE : facts->hv;
}

char *
ireko_nest_vhv_fix(const IrekoMachine *machine)
{
    if (machine->vhv_line > 0)
        return g_strdup_printf("set vhv.enable = \"TRUE\" in %s:%u", machine->file,
                               machine->vhv_line);
    return g_strdup_printf("add vhv.enable = \"TRUE\" to %s", machine->file);
}

IrekoCheck *
ireko_nest_check_guests(const IrekoFacts *facts, unsigned level, const IrekoMachine *layer)
{
    if (level == 0 || facts->kvm.usable)
        return NULL;

    bool vhv_off = layer != NULL && !layer->vhv;
    IrekoCheck *check = ireko_check_new("guests", NULL, "true");
    ireko_check_settle(check, "false", false,
                       vhv_off                    ? "vhv-off"
                       : facts->kvm.cause != NULL ? facts->kvm.cause
                                                  : IREKO_CAUSE_UNKNOWN,
                       facts->kvm.evidence);
    if (vhv_off)
        check->fix = ireko_nest_vhv_fix(layer);
    return check;
}
