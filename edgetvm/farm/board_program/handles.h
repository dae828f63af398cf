/* Numbers that a client holds instead of addresses: one that is not valid is found out. */
#ifndef BOARD_HANDLES_H
#define BOARD_HANDLES_H

#include <stdbool.h>
#include <stdint.h>

enum handle_kind {
    HANDLE_NONE,
    HANDLE_FUNCTION, /* one of this program's */
    HANDLE_MODULE,
    HANDLE_KERNEL,
    HANDLE_TIMER,
    HANDLE_DATA
};

struct handle_slot {
    uint32_t generation; /* how often the slot was used */
    enum handle_kind kind;
    void *object;
};

struct handles {
    struct handle_slot *slots;
    uint32_t count, room;
    uint32_t first_free; /* no slot before it is free */
};

/* 0 without memory. */
uint64_t handle_add(struct handles *handles, enum handle_kind kind, void *object);
/* Null where it is none of that kind. */
void *handle_find(const struct handles *handles, uint64_t handle, enum handle_kind kind);
/* What the handle is of; HANDLE_NONE where it is not valid. */
enum handle_kind handle_kind_of(const struct handles *handles, uint64_t handle, void **object);
void handle_remove(struct handles *handles, uint64_t handle);

#endif
