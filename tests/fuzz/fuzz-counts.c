/* What kernels and QEMU print about a machine that is watched: histograms of exits, `info jit`,
 * registers. */
#include <stddef.h>
#include <stdint.h>

#include "engine/qemu/count.h"
#include "host/exits.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GArray) rows = g_array_new(FALSE, TRUE, sizeof(IrekoExitRow));
    for (unsigned column = IREKO_EXITS_ALL; column <= IREKO_EXITS_REFLECTED; column++)
        (void)ireko_exits_parse(text, (IrekoExitColumn)column, rows, NULL);
    g_assert_cmpuint(rows->len, <=, IREKO_EXITS_ROWS_MAX);
    g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    ireko_qemu_read_jit(text, counts);
    g_autoptr(GArray) registers = ireko_qemu_read_registers(text);
    for (guint i = 0; i < rows->len; i++) {
        g_autofree char *meaning = NULL;
        g_autofree char *name =
            ireko_exits_explain(i % 2 ? IREKO_HV_VMX : IREKO_HV_SVM,
                                g_array_index(rows, IrekoExitRow, i).reason, &meaning);
        g_assert_true((name == NULL) == (meaning == NULL));
    }
    return 0;
}
