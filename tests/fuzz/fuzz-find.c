/* Fuzz target: a random memory image with control blocks in it. Whatever it says, looking ends;
 * what is confirmed leads to its guest by a second look, lies in no guest of those that are
 * confirmed beside it, and no guest is its own parent.
 *
 * The input is a row of operations of 8 bytes: a control block in a page, an entry of a table, or
 * eight bytes as they stand. */
#include <glib.h>
#include <string.h>

#include "../unit/guests.h"
#include "xray/find.h"
#include "xray/map.h"

#define PAGES 32

typedef struct {
    uint8_t what, page, root, own, low, high, at, more;
} Operation;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put_control(Machine *machine, const Operation *operation)
{
    static const IrekoPaging own[] = {IREKO_PAGING_4, IREKO_PAGING_5};
    uint64_t page = operation->page % PAGES * PAGE, root = operation->root % PAGES * PAGE;
    Guest guest = {.machine = machine,
                   .own.root.at = operation->own % PAGES * PAGE,
                   .paging = own[operation->high & 1]};
    machine->nested =
        (IrekoTable){.root.at = root,
                     .paging = (operation->high & 2) != 0 ? IREKO_PAGING_EPT5 : IREKO_PAGING_EPT4};
    if ((operation->high & 4) != 0)
        put_vmcs(machine, page, &guest);
    else
        put_vmcb(machine, page, &guest, root, operation->more % 4);
    if ((operation->high & 8) != 0) /* one byte of it is another */
        machine->ram[page + operation->at * 8u + operation->low % 8] ^= operation->more;
}

static void
operate(Machine *machine, const Operation *operation)
{
    uint64_t page = operation->page % PAGES * PAGE, index = operation->at | (operation->high & 1u)
                                                                                << 8;
    if (operation->what % 4 == 0) {
        put_control(machine, operation);
    } else if (operation->what % 4 == 1) {
        memcpy(machine->ram + page + index * 8, operation, sizeof *operation);
    } else {
        uint64_t entry = (uint64_t)(operation->root % (PAGES + 1)) << 12 | operation->low;
        machine_set(machine, page + index * 8, entry, 8);
    }
}

typedef struct {
    uint64_t gpa;
    bool is_in;
} Search;

static bool
search(void *data, const IrekoRun *run)
{
    Search *wanted = data;
    if (run->cause == IREKO_CAUSE_NONE && wanted->gpa - run->gpa.at < run->bytes)
        wanted->is_in = true;
    return !wanted->is_in;
}

static bool
is_in_guest(const IrekoFindings *findings,
            const IrekoGuest *guest,
            IrekoGpa gpa,
            const IrekoMemory *memory,
            const IrekoRamMap *map)
{
    g_autoptr(IrekoChain) builder = guest->parent == IREKO_FIND_OUTERMOST
                                        ? ireko_chain_new(memory, map, NULL, 0)
                                        : ireko_findings_chain(findings, guest->parent);
    Search wanted = {.gpa = gpa.at};
    IrekoMapEnd end;
    (void)ireko_map(builder, &guest->nested, search, &wanted, &end);
    return wanted.is_in;
}

static bool
leads(IrekoChain *chain, const IrekoControl *control, uint64_t address)
{
    IrekoTable own = ireko_table_own(&control->state);
    IrekoWay way;
    return ireko_chain_gva(chain, &own, (IrekoGva){address}, 0, NULL, &way);
}

static void
check(const IrekoFindings *findings,
      const IrekoFound *found,
      const IrekoMemory *memory,
      const IrekoRamMap *map)
{
    size_t n = 0;
    const IrekoGuest *guests = ireko_findings_guests(findings, &n);
    g_assert_true(found->owner == IREKO_FIND_OUTERMOST || found->owner < n);
    g_assert_true(found->guest == IREKO_FIND_OUTERMOST || found->guest < n);
    g_assert_true(found->gpa.at % PAGE == 0 && found->gpa.at < PAGES * PAGE);
    g_assert_cmpint(found->trust == IREKO_FIND_CONFIRMED && found->doubt != IREKO_DOUBT_NONE, ==,
                    0);
    if (found->trust != IREKO_FIND_CONFIRMED || found->guest == IREKO_FIND_OUTERMOST)
        return;
    g_autoptr(IrekoChain) chain = ireko_findings_chain(findings, found->guest);
    g_assert_true(leads(chain, &found->control, found->control.cs_base + found->control.rip) ||
                  (leads(chain, &found->control, found->control.gdt_base) &&
                   leads(chain, &found->control, found->control.idt_base)));
    for (size_t i = 0; i < n; i++) {
        if (guests[i].parent == found->owner)
            g_assert_false(is_in_guest(findings, &guests[i], found->gpa, memory, map));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(Machine) machine = machine_new(PAGES * PAGE, NULL);
    uint64_t ran = 0;
    for (; size >= sizeof(Operation); data += sizeof(Operation), size -= sizeof(Operation)) {
        Operation operation;
        memcpy(&operation, data, sizeof operation);
        operate(machine, &operation);
        ran = (operation.what & 0x80) != 0 ? operation.page % PAGES * PAGE : ran;
    }
    IrekoRam ram;
    machine_ram(machine, &ram);
    IrekoMemory memory = ireko_ram_memory(&ram);
    IrekoVcpu vcpu = {.nested = IREKO_NESTED_SVM, .control_gpa = ran};
    g_autoptr(IrekoFindings) findings = ireko_find(&memory, &ram.map, &vcpu, ran != 0);
    size_t n = 0, n_guests = 0;
    const IrekoFound *controls = ireko_findings_controls(findings, &n);
    const IrekoGuest *guests = ireko_findings_guests(findings, &n_guests);
    for (size_t i = 0; i < n_guests; i++)
        g_assert_true(guests[i].parent == IREKO_FIND_OUTERMOST || guests[i].parent < i);
    for (size_t i = 0; i < n; i++)
        check(findings, &controls[i], &memory, &ram.map);
    return 0;
}
