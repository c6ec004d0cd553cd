/* The bytes of causes.book, between two symbols. */
    .section .rodata
    .global ireko_causes_book, ireko_causes_book_end
    .hidden ireko_causes_book, ireko_causes_book_end
ireko_causes_book:
    .incbin CAUSES_BOOK
ireko_causes_book_end:
    .section .note.GNU-stack, "", @progbits
