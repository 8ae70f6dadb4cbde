//! From the machine's reset state to Rust: the PVH note, the first page tables, long mode.
//!
//! QEMU reads the note, loads the image and jumps to `pvh_entry` in 32-bit protected mode, paging
//! off, with the physical address of the start information in `ebx`. The first page tables are
//! data of the image. They map the low 4 GiB three times: at their own address, which only the
//! switches to paging need and [`super::paging`] drops again; at [`PHYSMAP_BASE`], writable, never
//! executable; and the first GiB at the address the kernel is linked to.
//!
//! # Source
//! Xen, `docs/misc/pvh.pandoc` (the note and the state at entry); Intel SDM volume 3, 9.8.5
//! ("Initializing IA-32e Mode").
//!
//! [`PHYSMAP_BASE`]: super::paging::PHYSMAP_BASE

use core::arch::global_asm;

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4                     // bytes of the name
    .long 8                     // bytes of the descriptor
    .long 18                    // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

    .section .boot.text, "ax", @progbits
    .code32
    .global pvh_entry
pvh_entry:
    cli
    cld
    mov esi, ebx                // the start information, kept until Rust takes it
    mov ebx, offset boot_level_4
    jmp switch_to_long_mode

    .global other_cpu_entry    // from the stub in `other_cpu`
other_cpu_entry:
    cld
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor esi, esi
    mov ebx, offset boot_other_level_4

switch_to_long_mode:
    mov eax, cr4
    or eax, 1 << 5              // PAE
    mov cr4, eax
    mov cr3, ebx
    mov ecx, 0xc0000080         // EFER
    rdmsr
    or eax, (1 << 8) | (1 << 11) // long mode, no-execute
    wrmsr
    mov eax, cr0
    or eax, (1 << 31) | (1 << 16) // paging; read-only pages bind the kernel too
    mov cr0, eax

    lgdt [boot_gdt_pointer]
    .byte 0xea                  // a far jump into the 64-bit code segment
    .long long_mode
    .word 8

    .code64
long_mode:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    test esi, esi
    jz other_cpu
    movabs rsp, offset stack_end
    xor ebp, ebp
    mov edi, esi
    movabs rax, offset {start}
    call rax
    ud2
other_cpu:
    movabs rax, offset other_cpu_start
    jmp rax

    .section .boot.tables, "a", @progbits
    .balign 8
    .global boot_gdt
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff    // 64-bit code
    .quad 0x00cf93000000ffff    // data
    .quad 0x00cf9b000000ffff    // 32-bit code
boot_gdt_pointer:
    .word boot_gdt_pointer - boot_gdt - 1
    .long boot_gdt

    // Entry bits: 1 present, 2 writable, 0x80 a 2 MiB page, 1 << 63 not executable.
    .macro first_level_4
    .quad boot_physmap_level_3 + 3
    .fill 319, 8, 0
    .quad boot_physmap_level_3 + 0x8000000000000003
    .fill 190, 8, 0
    .quad boot_kernel_level_3 + 3
    .endm

    .balign 4096
    .global boot_level_4
boot_level_4:
    first_level_4
boot_other_level_4:            // keeps the identity mapping
    first_level_4

boot_physmap_level_3:
    .set index, 0
    .rept 4
    .quad boot_physmap_level_2 + index * 4096 + 3
    .set index, index + 1
    .endr
    .fill 508, 8, 0

boot_physmap_level_2:
    .set index, 0
    .rept 4 * 512
    .quad index * 0x200000 + 0x83
    .set index, index + 1
    .endr

boot_kernel_level_3:
    .fill 510, 8, 0
    .quad boot_kernel_level_2 + 3
    .quad 0

    .global boot_kernel_level_2
boot_kernel_level_2:
    .set index, 0
    .rept 512
    .quad index * 0x200000 + 0x83
    .set index, index + 1
    .endr
    .text
    "#,
    start = sym super::start,
);
