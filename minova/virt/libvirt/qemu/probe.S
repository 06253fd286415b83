# SPDX-License-Identifier: Apache-2.0
#
# The probe guest of acceleration.py: a boot sector that does what the kernel
# of any guest does when it begins, and says how far it got on its serial port:
#
#   R   the firmware has run and has read the disk: real mode
#   6   page tables, 64-bit mode
#   T   the timer interrupted it three times while it halted
#
# Then it switches itself off. To build it:
#
#   as --64 -o probe.o probe.S
#   ld -m elf_x86_64 -Ttext 0x7c00 --oformat binary -e 0x7c00 -o probe probe.o

        .set    SERIAL, 0x3f8
        .set    POWER, 0x604            # PM1a control of QEMU's machines
        .set    TABLES, 0x1000          # three pages
        .set    VECTORS, 0x4000
        .set    TIMER, 0x20             # the vector that the timer gets

        .macro  say letter
        movb    $\letter, %al
        movw    $SERIAL, %dx
        outb    %al, %dx
        .endm

        .macro  tell port, value
        movb    $\value, %al
        outb    %al, $\port
        .endm

        .code16
        ljmp    $0, $1f
1:      cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        say     'R'

        # The first 2 MiB stay where they are.
        movw    $TABLES, %di
        xorl    %eax, %eax
        movw    $0xc00, %cx
        rep stosl
        movw    $(TABLES + 0x1003), TABLES
        movw    $(TABLES + 0x2003), TABLES + 0x1000
        movw    $0x0083, TABLES + 0x2000
        movl    %cr4, %eax
        orb     $0x20, %al              # PAE
        movl    %eax, %cr4
        movl    $TABLES, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx       # EFER
        rdmsr
        orb     $1, %ah                 # LME
        wrmsr
        lgdt    segments_at
        movl    %cr0, %eax
        orl     $0x80000001, %eax       # PG, PE
        movl    %eax, %cr0
        ljmp    $8, $long

        .code64
long:   movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $0x7c00, %esp
        say     '6'
        xorl    %eax, %eax
        cpuid

        # One vector, and both interrupt controllers told of theirs.
        movl    $VECTORS, %edi
        xorl    %eax, %eax
        movl    $0x400, %ecx
        rep stosl
        movl    $(VECTORS + 16 * TIMER), %edi
        movl    $tick, %eax
        movw    %ax, (%rdi)
        movw    $8, 2(%rdi)
        movw    $0x8e00, 4(%rdi)
        lidt    vectors_at
        tell    0x20, 0x11
        tell    0xa0, 0x11
        tell    0x21, TIMER
        tell    0xa1, TIMER + 8
        tell    0x21, 4
        tell    0xa1, 2
        tell    0x21, 1
        tell    0xa1, 1
        tell    0x21, 0xfe              # the timer only
        tell    0xa1, 0xff
        xorl    %ebx, %ebx
        sti
2:      hlt
        cmpl    $3, %ebx
        jb      2b
        cli
        say     'T'
        movw    $POWER, %dx
        movw    $0x2000, %ax
        outw    %ax, %dx
3:      hlt
        jmp     3b

tick:   pushq   %rax
        incl    %ebx
        tell    0x20, 0x20
        popq    %rax
        iretq

        .balign 8
segments:
        .quad   0, 0x00209a0000000000, 0x0000920000000000
segments_at:
        .word   23
        .long   segments
vectors_at:
        .word   0xfff
        .quad   VECTORS

        .org    510
        .word   0xaa55
