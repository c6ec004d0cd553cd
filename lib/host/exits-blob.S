/* The bytes of exits.book, between two symbols. */
    .section .rodata
    .global ireko_exits_book, ireko_exits_book_end
    .hidden ireko_exits_book, ireko_exits_book_end
ireko_exits_book:
    .incbin EXITS_BOOK
ireko_exits_book_end:
    .section .note.GNU-stack, "", @progbits
