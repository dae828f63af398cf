/* A list that grows while a package is opened. */
#ifndef EDGETVM_LIST_H
#define EDGETVM_LIST_H

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

struct list {
    void *items;
    size_t count;
    size_t room;
};

/* One more item, all zero; null without memory. Earlier items may move. */
static inline void *list_add(struct list *list, size_t item_bytes)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 4 : 2 * list->room;
        size_t size = 0;
        void *items = multiply_sizes(room, item_bytes, &size) ? realloc(list->items, size) : NULL;
        if (items == NULL) {
            return NULL;
        }
        list->items = items;
        list->room = room;
    }
    void *added = (char *)list->items + list->count++ * item_bytes;
    memset(added, 0, item_bytes);
    return added;
}

static inline void list_free(struct list *list)
{
    free(list->items);
    *list = (struct list){0};
}

#endif
