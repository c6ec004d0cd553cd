/* xray/stream-ram.c - the section "ram", which no description covers (QEMU's migration/ram.c).
 *
 * It is a row of 64-bit words: flags in the bits below the page size, an address or a length above
 * them. MEM_SIZE lists the blocks; with x-ignore-shared each has its address, and no page follows.
 * Else pages follow, each naming its block unless it goes on in the one before. */
#include <string.h>

#include <ireko/text.h>

#include "xray/stream-parts.h"

#define FLAG_ZERO     0x02u
#define FLAG_MEM_SIZE 0x04u
#define FLAG_PAGE     0x08u
#define FLAG_EOS      0x10u
#define FLAG_CONTINUE 0x20u
#define FLAG_XBZRLE   0x40u
#define FLAG_FLUSH    0x200u /* between rounds of multifd */

static bool
read_blocks(
    IrekoStreamCursor *cursor, bool ignore_shared, uint64_t total, GArray *blocks, GError **error)
{
    while (total > 0 && !cursor->is_short) {
        char name[IREKO_STREAM_NAME_MAX + 1];
        ireko_stream_take_name(cursor, name);
        IrekoStreamBlock block = {.bytes = ireko_stream_take(cursor, 8),
                                  .has_address = ignore_shared};
        if (ignore_shared)
            block.address = ireko_stream_take(cursor, 8);
        if (block.bytes > total || blocks->len >= IREKO_STREAM_BLOCKS_MAX) {
            g_set_error(
                error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                "the state stream lists more memory than it has: a block of %" G_GUINT64_FORMAT
                " bytes where %" G_GUINT64_FORMAT " are left, at most %d blocks",
                block.bytes, total, IREKO_STREAM_BLOCKS_MAX);
            return false;
        }
        total -= block.bytes;
        block.name = ireko_text_safe(name, strlen(name));
        g_array_append_val(blocks, block);
    }
    return true;
}

/* Passes over a page that came with FLAGS. */
static void
skip_page(IrekoStreamCursor *cursor, uint64_t flags, uint64_t page_bytes)
{
    if ((flags & FLAG_CONTINUE) == 0)
        ireko_stream_skip(cursor, ireko_stream_take(cursor, 1));
    if ((flags & FLAG_ZERO) != 0) {
        ireko_stream_skip(cursor, 1);
    } else if ((flags & FLAG_PAGE) != 0) {
        ireko_stream_skip(cursor, page_bytes);
    } else {
        ireko_stream_skip(cursor, 1); /* XBZRLE's flag */
        ireko_stream_skip(cursor, ireko_stream_take(cursor, 2));
    }
}

bool
ireko_stream_read_ram(IrekoStreamCursor *cursor,
                      bool ignore_shared,
                      uint64_t page_bytes,
                      GArray *blocks,
                      GError **error)
{
    while (!cursor->is_short) {
        uint64_t word = ireko_stream_take(cursor, 8);
        uint64_t flags = word & (page_bytes - 1);
        if (flags == FLAG_EOS)
            return true;
        if (flags == FLAG_MEM_SIZE) {
            if (!read_blocks(cursor, ignore_shared, word - flags, blocks, error))
                return false;
        } else if ((flags & (FLAG_ZERO | FLAG_PAGE | FLAG_XBZRLE)) != 0 &&
                   (flags & ~(FLAG_ZERO | FLAG_PAGE | FLAG_XBZRLE | FLAG_CONTINUE)) == 0) {
            skip_page(cursor, flags, page_bytes);
        } else if (flags != FLAG_FLUSH && !cursor->is_short) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                        "the state stream has memory of a kind that cannot be read: flags "
                        "%#" G_GINT64_MODIFIER "x",
                        flags);
            return false;
        }
    }
    return true; /* the caller says that it is short */
}
