#define _GNU_SOURCE

#include "data.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

/* As TVM aligns it. */
enum { ALIGNMENT = 128 };

/* The bytes of a tensor's elements; false where there are more than any memory has. */
static bool tensor_bytes(const struct tensor *tensor, size_t *size_bytes)
{
    *size_bytes = ((size_t)tensor->bits * tensor->lanes + 7) / 8;
    for (int32_t axis = 0; axis < tensor->rank; axis++) {
        int64_t length = tensor->shape[axis];
        if (length < 0 || (uint64_t)length > SIZE_MAX ||
            !multiply_sizes(*size_bytes, (size_t)length, size_bytes)) {
            return false;
        }
    }
    return true;
}

static bool check_device(struct board *board, int32_t type, int32_t id)
{
    return (type == DEVICE_CPU && id == 0) ||
           refuse(board, "ValueError: this board serves its CPU alone (use remote.cpu())");
}

/* `size_bytes` of a tensor's memory, from its offset on. */
static bool find_memory(struct board *board, const struct tensor *tensor, uint64_t size_bytes,
                        uint8_t **memory)
{
    if (!all_came(board) || !check_device(board, tensor->device_type, tensor->device_id)) {
        return false;
    }
    const struct block *block = handle_find(&board->handles, tensor->handle, HANDLE_DATA);
    if (block == NULL) {
        return refuse(board, "ValueError: a tensor is not of this session, or was freed");
    }
    if (tensor->byte_offset > block->size_bytes ||
        size_bytes > block->size_bytes - tensor->byte_offset) {
        return refuse(board, "ValueError: a tensor of %zu bytes ends before what is asked of it",
                      block->size_bytes);
    }
    *memory = block->memory + tensor->byte_offset;
    return true;
}

bool tensor_memory(struct board *board, const struct tensor *tensor, uint8_t **memory,
                   size_t *size_bytes)
{
    if (!tensor_bytes(tensor, size_bytes)) {
        return refuse(board, "MemoryError: out of memory: a tensor is larger than any memory");
    }
    return find_memory(board, tensor, *size_bytes, memory);
}

static bool add_block(struct board *board, size_t size_bytes)
{
    size_t room = 0;
    if (size_bytes > board->most_data_bytes - board->data_bytes ||
        !round_up(size_bytes | 1, ALIGNMENT, &room)) {
        return refuse(board, "MemoryError: out of memory: the board has no room for %zu bytes",
                      size_bytes);
    }
    struct block *block = malloc(sizeof *block);
    uint8_t *memory = block != NULL ? aligned_alloc(ALIGNMENT, room) : NULL;
    uint64_t handle = 0;
    if (memory != NULL) {
        *block = (struct block){.memory = memory, .size_bytes = size_bytes};
        handle = handle_add(&board->handles, HANDLE_DATA, block);
    }
    if (handle == 0) {
        free(memory);
        free(block);
        return refuse(board, "MemoryError: out of memory: the board has no room for %zu bytes",
                      size_bytes);
    }
    board->data_bytes += size_bytes;
    wire_answer(&board->wire, TYPE_POINTER, handle);
    return true;
}

/* (device, bytes, alignment, dtype) */
bool data_allocate(struct board *board, int32_t count)
{
    struct argument device = {0};
    int64_t size = 0, alignment = 0;
    if (!takes(board, count, 4)) {
        return false;
    }
    device = argument_read(board);
    if (!take_integer(board, 0, INT64_MAX, &size) ||
        !take_integer(board, 0, ALIGNMENT, &alignment)) {
        return false;
    }
    (void)argument_read(board);
    if (!all_came(board) || !check_device(board, (int32_t)device.bits,
                                          (int32_t)(device.bits >> 32))) {
        return false;
    }
    if ((uint64_t)size > SIZE_MAX) {
        return refuse(board, "MemoryError: out of memory: the board has no room for so much");
    }
    return add_block(board, (size_t)size);
}

/* (tensor, scope) */
bool data_allocate_scoped(struct board *board, int32_t count)
{
    size_t size = 0;
    char scope[NAME_BYTES];
    if (!takes(board, count, 2)) {
        return false;
    }
    struct argument argument = argument_read(board);
    if (!take_text(board, scope, sizeof scope)) {
        return false;
    }
    if (argument.type != TYPE_TENSOR || !tensor_bytes(&argument.tensor, &size)) {
        return refuse(board, "ValueError: that is no tensor");
    }
    if (scope[0] != '\0' && strcmp(scope, "global") != 0) {
        return refuse(board, "ValueError: a CPU has no memory of the kind %.40s", scope);
    }
    return check_device(board, argument.tensor.device_type, argument.tensor.device_id) &&
           add_block(board, size);
}

/* (device, data) */
bool data_free(struct board *board, int32_t count)
{
    uint64_t handle = 0;
    if (!takes(board, count, 2)) {
        return false;
    }
    (void)argument_read(board);
    if (!take_handle(board, &handle)) {
        return false;
    }
    struct block *block = handle_find(&board->handles, handle, HANDLE_DATA);
    if (block == NULL) {
        return refuse(board, "ValueError: a tensor is not of this session, or was freed");
    }
    handle_remove(&board->handles, handle);
    board->data_bytes -= block->size_bytes;
    free(block->memory);
    free(block);
    wire_answer(&board->wire, TYPE_NONE, 0);
    return true;
}

/* (from, to, stream) */
bool data_copy_among(struct board *board, int32_t count)
{
    if (!takes(board, count, 3)) {
        return false;
    }
    struct argument from = argument_read(board), to = argument_read(board);
    (void)argument_read(board);
    if (from.type != TYPE_TENSOR || to.type != TYPE_TENSOR) {
        return refuse(board, "TypeError: only tensors can be copied");
    }
    uint8_t *source = NULL, *target = NULL;
    size_t size = 0, room = 0;
    if (!tensor_memory(board, &from.tensor, &source, &size) ||
        !tensor_memory(board, &to.tensor, &target, &room)) {
        return false;
    }
    if (size != room) {
        return refuse(board, "ValueError: %zu bytes do not fit a tensor of %zu", size, room);
    }
    memmove(target, source, size);
    wire_answer(&board->wire, TYPE_NONE, 0);
    return true;
}

bool data_copy_to(struct board *board)
{
    struct tensor tensor = tensor_read(board);
    uint64_t size = wire_u64(&board->wire);
    uint8_t *memory = NULL;
    if (!find_memory(board, &tensor, size, &memory)) {
        return false;
    }
    wire_take(&board->wire, memory, (size_t)size);
    if (!all_came(board)) {
        return false;
    }
    wire_answer(&board->wire, TYPE_NONE, 0);
    return true;
}

bool data_copy_from(struct board *board)
{
    struct tensor tensor = tensor_read(board);
    uint64_t size = wire_u64(&board->wire);
    uint8_t *memory = NULL;
    if (!find_memory(board, &tensor, size, &memory)) {
        return false;
    }
    wire_begin_copy(&board->wire, size);
    wire_send_part(&board->wire, memory, (size_t)size);
    wire_end_parts(&board->wire);
    return true;
}
