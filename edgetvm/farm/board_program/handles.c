#include "handles.h"

#include <stdlib.h>

#include "bytes.h"

/* More than a client ever holds; each costs 16 bytes. */
enum { MAX_HANDLES = 1 << 20 };

static bool make_room(struct handles *handles)
{
    if (handles->count < handles->room) {
        return true;
    }
    uint32_t room = handles->room == 0 ? 64 : 2 * handles->room;
    size_t size = 0;
    if (room > MAX_HANDLES || !multiply_sizes(room, sizeof *handles->slots, &size)) {
        return false;
    }
    struct handle_slot *slots = realloc(handles->slots, size);
    if (slots == NULL) {
        return false;
    }
    handles->slots = slots;
    handles->room = room;
    return true;
}

uint64_t handle_add(struct handles *handles, enum handle_kind kind, void *object)
{
    uint32_t index = handles->first_free;
    while (index < handles->count && handles->slots[index].kind != HANDLE_NONE) {
        index++;
    }
    if (index == handles->count) {
        if (!make_room(handles)) {
            return 0;
        }
        handles->slots[index] = (struct handle_slot){0};
        handles->count++;
    }
    struct handle_slot *slot = &handles->slots[index];
    slot->generation++;
    slot->kind = kind;
    slot->object = object;
    handles->first_free = index + 1;
    return (uint64_t)slot->generation << 32 | (index + 1);
}

static struct handle_slot *slot_of(const struct handles *handles, uint64_t handle)
{
    uint32_t index = (uint32_t)handle - 1;
    if (index >= handles->count) {
        return NULL;
    }
    struct handle_slot *slot = &handles->slots[index];
    return slot->kind != HANDLE_NONE && slot->generation == handle >> 32 ? slot : NULL;
}

void *handle_find(const struct handles *handles, uint64_t handle, enum handle_kind kind)
{
    const struct handle_slot *slot = slot_of(handles, handle);
    return slot != NULL && slot->kind == kind ? slot->object : NULL;
}

enum handle_kind handle_kind_of(const struct handles *handles, uint64_t handle, void **object)
{
    const struct handle_slot *slot = slot_of(handles, handle);
    *object = slot != NULL ? slot->object : NULL;
    return slot != NULL ? slot->kind : HANDLE_NONE;
}

void handle_remove(struct handles *handles, uint64_t handle)
{
    struct handle_slot *slot = slot_of(handles, handle);
    if (slot == NULL) {
        return;
    }
    slot->kind = HANDLE_NONE;
    slot->object = NULL;
    uint32_t index = (uint32_t)handle - 1;
    handles->first_free = index < handles->first_free ? index : handles->first_free;
}
