/* The bytes of guest/init, between two symbols. */
    .section .rodata
    .global ireko_guest_init, ireko_guest_init_end
    .hidden ireko_guest_init, ireko_guest_init_end
    .balign 16
ireko_guest_init:
    .incbin GUEST_INIT
ireko_guest_init_end:
    .section .note.GNU-stack, "", @progbits
