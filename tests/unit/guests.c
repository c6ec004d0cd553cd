/* Written by the manuals, not by lib/xray: AMD APM vol. 2, appendix B; Linux, vmcs12.h. */
#include "guests.h"

void
set(Machine *machine, uint64_t page, unsigned at, uint64_t value, unsigned bytes)
{
    machine_set(machine, page + at, value, bytes);
}

void
put_vmcb(Machine *machine, uint64_t page, const Guest *guest, uint64_t root, unsigned number)
{
    set(machine, page, 0x0c, 0xbc44800f, 4);
    set(machine, page, 0x10, 0x00006e7f, 4);
    set(machine, page, 0x40, 0x3000, 8);
    set(machine, page, 0x48, 0x5000, 8);
    set(machine, page, 0x58, 7 + number, 4);
    set(machine, page, 0x60, 0x1000000, 8);
    set(machine, page, 0x70, 0x78, 8);
    set(machine, page, 0x90, 1, 8);
    set(machine, page, 0xb0, root, 8);
    set(machine, page, 0x410, 0x10, 2);
    set(machine, page, 0x412, 0xa9b, 2);
    set(machine, page, 0x414, 0xffffffff, 4);
    set(machine, page, 0x458, 0xffff888000000000 + number * 0x100000, 8);
    set(machine, page, 0x468, GDT, 8);
    set(machine, page, 0x488, IDT, 8);
    set(machine, page, 0x498, IDT + 0x3000 + number * 0x10000, 8);
    set(machine, page, 0x4d0, EFER_VM, 8);
    set(machine, page, 0x548, guest->paging == IREKO_PAGING_5 ? CR4_FIVE : CR4_LONG, 8);
    set(machine, page, 0x550, guest->own.root.at, 8);
    set(machine, page, 0x558, CR0_LONG, 8);
    set(machine, page, 0x560, 0x400, 8);
    set(machine, page, 0x568, 0xffff0ff0, 8);
    set(machine, page, 0x570, 0x246, 8);
    set(machine, page, 0x578, CODE + 0x10, 8);
    set(machine, page, 0x5d8, 0xffffffff82a03e98, 8);
}

void
put_vmcs(Machine *machine, uint64_t page, const Guest *guest)
{
    set(machine, page, 0, 0x11e57ed0, 4);
    set(machine, page, 8, 1, 4);
    const IrekoTable *nested = &guest->machine->nested;
    set(machine, page, 120, nested->root.at | (nested->paging == IREKO_PAGING_EPT5 ? 0x66 : 0x5e),
        8);
    set(machine, page, 176, UINT64_MAX, 8);
    set(machine, page, 200, 0xd01, 8);
    set(machine, page, 424, CR0_LONG, 8);
    set(machine, page, 432, guest->own.root.at, 8);
    set(machine, page, 440, CR4_LONG, 8);
    set(machine, page, 512, GDT, 8);
    set(machine, page, 520, IDT, 8);
    set(machine, page, 504, IDT + 0x3000, 8);
    set(machine, page, 544, CODE, 8);
    set(machine, page, 552, 2, 8);
    set(machine, page, 584, CR0_LONG, 8);
    set(machine, page, 592, 0x1000, 8);
    set(machine, page, 600, 0x26f0, 8);
    set(machine, page, 748, (uint64_t)1 << 31, 4);
    set(machine, page, 780, (uint64_t)1 << 15 | 1 << 9, 4);
    set(machine, page, 804, 2, 4);
    set(machine, page, 884, 0xa09b, 4);
}

Guest
guest_in(Machine *outer, IrekoPaging nested, IrekoPaging own)
{
    Guest guest = {.machine = machine_new_inside(outer, nested, GUEST_BYTES), .paging = own};
    guest.own = table_new(guest.machine, own, false);
    static const uint64_t addresses[] = {CODE, GDT, IDT};
    for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++)
        table_map(guest.machine, &guest.own, addresses[i], machine_take(guest.machine), 1, T_ALL);
    return guest;
}

uint64_t
new_vmcb(Machine *machine, const Guest *guest, unsigned number)
{
    uint64_t page = machine_take(machine);
    put_vmcb(machine, page, guest, guest->machine->nested.root.at, number);
    return page;
}

IrekoTable
shadow_of(Machine *outer, const Guest *guest)
{
    IrekoTable table = table_new(outer, IREKO_PAGING_4, true);
    GHashTableIter pages;
    gpointer page;
    g_hash_table_iter_init(&pages, guest->machine->pages);
    while (g_hash_table_iter_next(&pages, &page, NULL)) {
        uint64_t at = GPOINTER_TO_SIZE(page) * PAGE;
        table_map(outer, &table, at, machine_outermost(guest->machine, at), 1, T_ALL);
    }
    return table;
}
