/* ireko/book.h - the key book: what is known of each key of a .vmx, from one data file
 * (lib/vmx/keys.book), which is part of the program. */
#pragma once

#include <stdbool.h>

#include <ireko/error.h>

G_BEGIN_DECLS

#define IREKO_KEY_NUMBERS_MAX 2 /* "scsi0:1.present" has two */

typedef enum {
    IREKO_TYPE_STRING,
    IREKO_TYPE_BOOL,    /* TRUE, FALSE, any case; some keys are written 1, 0 */
    IREKO_TYPE_INTEGER, /* within LEAST to MOST, a multiple of STEP */
    IREKO_TYPE_WORD,    /* one of VALUES */
    IREKO_TYPE_PATH,
    IREKO_TYPE_MAC,
    IREKO_TYPE_UUID,
} IrekoKeyType;

/* "string", "bool", "integer" ... */
const char *
ireko_key_type_name(IrekoKeyType type);

/* What became of a key on QEMU. */
typedef enum {
    IREKO_CARRIED,      /* the machine has it */
    IREKO_APPROXIMATED, /* something near: QEMU says what */
    IREKO_DROPPED,      /* not carried: QEMU says why */
    IREKO_UNLESS_OFF,   /* dropped, but where it is FALSE nothing was asked for */
    IREKO_BOOKKEEPING,  /* means nothing outside VMware's products */
} IrekoCarry;

/* One entry. Texts live as long as the program; NULL where nothing is known. */
typedef struct {
    const char *pattern; /* "scsi%u:%u.virtualSSD": %u is a number, a last * any rest */
    IrekoKeyType type;
    const char *const
        *values;            /* of IREKO_TYPE_WORD; of others, words that may stand too, or NULL */
    long least, most, step; /* of IREKO_TYPE_INTEGER */
    const char *fallback;   /* the value that an absent key has */
    unsigned since;         /* virtualHW.version that knows it; 0: any */
    const char *products;   /* which of VMware's read or write it */
    const char *what;       /* what it means, one or two sentences */
    const char *nesting;    /* what it does to a nest */
    IrekoCarry carry;
    const char *qemu;    /* how QEMU carries it, or why it does not */
    const char *source;  /* who says so */
    bool invented;       /* folklore: no product reads it; WHAT says what was meant */
    const char *instead; /* the key that was meant, or NULL */
} IrekoKey;

/* Every entry, in the order of the book; RET_COUNT of them. Of those that fit a key the one without
 * a star counts, else the longest. */
const IrekoKey *
ireko_book_keys(size_t *ret_count);

/* The entry for KEY, whatever its case, or NULL. */
const IrekoKey *
ireko_book_find(const char *key);

/* Like find; the numbers in KEY go to NUMBERS. One that does not fit is UINT_MAX. A number has no
 * nought before it: nothing has two names. */
const IrekoKey *
ireko_book_match(const char *key, unsigned numbers[IREKO_KEY_NUMBERS_MAX]);

/* KEY in the book's own case, its numbers kept ("SCSI0:1.virtualssd" is "scsi0:1.virtualSSD"); KEY
 * itself where the book does not know it or knows only a beginning. Free with g_free. */
char *
ireko_book_spell(const char *key);

/* A known key that KEY is likely to be a typing error of, or NULL. Free with g_free. */
char *
ireko_book_suggest(const char *key);

/* Whether VALUE, which is decoded, can be meant for a key that KEY is the entry of. */
bool
ireko_key_allows(const IrekoKey *key, const char *value);

/* Whether VALUE can be meant for KEY; else IREKO_ERROR_SYNTAX says what is allowed, or, for a key
 * that no product reads, what was meant. A key that is not in the book: IREKO_ERROR_NOT_FOUND. */
bool
ireko_book_check(const char *key, const char *value, GError **error);

G_END_DECLS
