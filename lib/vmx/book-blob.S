/* The bytes of keys.book, between two symbols. */
    .section .rodata
    .global ireko_book_text, ireko_book_text_end
    .hidden ireko_book_text, ireko_book_text_end
    .balign 16
ireko_book_text:
    .incbin KEYS_BOOK
ireko_book_text_end:
    .section .note.GNU-stack, "", @progbits
