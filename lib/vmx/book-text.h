/* vmx/book-text.h - the text of the key book, read into entries. Private to vmx. */
#pragma once

#include <ireko/book.h>

/* Reads the key book TEXT, which is changed and lives as long as its entries. Returns them: an
 * array of IrekoKey. A text that is not a key book is a fault of ireko's own and ends it. */
GArray *
ireko_book_read(char *text);
