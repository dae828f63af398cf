/* A program whose instructions and lines are known by reading it: walks WALK bytes, 64 at a time,
   three times, each walk marked for the plugin. */
#define MARK(what) mov x8, 57; mov w0, 0x7300 + what; movk w0, 0xED6E, lsl 16; svc 0
    .global _start
_start:
    mov x20, 3
again:
    MARK(1)
    adrp x1, room
    add x1, x1, :lo12:room
    mov x2, WALK / 64
walk:
    ldr x3, [x1], 64
    subs x2, x2, 1
    b.ne walk
    MARK(2)
    subs x20, x20, 1
    b.ne again
    mov x8, 93
    mov x0, 0
    svc 0
    .bss
    .balign 4096
room:
    .space WALK
