#define _GNU_SOURCE

#include "kernel.h"

#include <stdlib.h>
#include <string.h>

#include "data.h"
#include "kernel_arguments.h"

static bool take_tensor(struct board *board, struct kernel_arguments *arguments, int32_t index,
                        const struct tensor *tensor)
{
    uint8_t *memory = NULL;
    size_t size = 0;
    if (!tensor_memory(board, tensor, &memory, &size)) {
        return false;
    }
    memcpy(arguments->shapes[index], tensor->shape, sizeof tensor->shape);
    arguments->size_bytes[index] = size;
    arguments->tensors[index] = (struct dl_tensor){
        .data = memory - tensor->byte_offset,
        .device_type = tensor->device_type,
        .device_id = tensor->device_id,
        .rank = tensor->rank,
        .code = tensor->code,
        .bits = tensor->bits,
        .lanes = tensor->lanes,
        .shape = arguments->shapes[index],
        .byte_offset = tensor->byte_offset,
    };
    arguments->values[index] =
        (struct any){.type = TYPE_TENSOR, .pointer = &arguments->tensors[index]};
    return true;
}

static bool take_argument(struct board *board, struct kernel_arguments *arguments, int32_t index)
{
    struct argument argument = argument_read(board);
    switch (argument.type) {
    case TYPE_TENSOR:
        return take_tensor(board, arguments, index, &argument.tensor);
    case TYPE_NONE:
    case TYPE_INT:
    case TYPE_BOOL:
    case TYPE_FLOAT:
    case TYPE_DTYPE:
    case TYPE_DEVICE:
        arguments->values[index] = (struct any){.type = argument.type, .bits = argument.bits};
        return true;
    default:
        return refuse(board,
                      "TypeError: argument %d is neither a tensor nor a number, and kernels of "
                      "this board take nothing else",
                      (int)index);
    }
}

bool kernel_take_arguments(struct board *board, struct kernel_arguments *arguments, int32_t count)
{
    if (count < 0 || count > MAX_ARGUMENTS) {
        return refuse(board, "ValueError: a kernel has at most %d arguments", MAX_ARGUMENTS);
    }
    memset(arguments, 0, sizeof *arguments);
    arguments->count = count;
    for (int32_t i = 0; i < count; i++) {
        if (!take_argument(board, arguments, i)) {
            return false;
        }
    }
    return all_came(board) && board_needs_pool(board);
}

bool kernel_run(struct board *board, const struct kernel *kernel,
                const struct kernel_arguments *arguments, int64_t times, struct any *result)
{
    int code = 0;
    struct pool *before = pool_enter(board->pool);
    for (int64_t i = 0; code == 0 && i < times; i++) {
        *result = (struct any){0};
        code = kernel->function(NULL, arguments->values, arguments->count, result);
    }
    pool_leave(before);
    if (code == 0) {
        return true;
    }
    (void)(guest_complaint()[0] != '\0' ? refuse(board, "%s", guest_complaint())
                                        : refuse(board, "RuntimeError: the kernel failed"));
    guest_forget_complaint();
    return false;
}

static bool answer(struct board *board, const struct any *result)
{
    switch (result->type) {
    case TYPE_NONE:
    case TYPE_INT:
    case TYPE_BOOL:
    case TYPE_FLOAT:
        wire_answer_result(&board->wire, result->type, result->bits);
        return true;
    default:
        return refuse(board, "TypeError: the kernel gives what cannot be sent");
    }
}

bool kernel_call(struct board *board, const struct kernel *kernel, int32_t count)
{
    struct kernel_arguments *arguments = malloc(sizeof *arguments);
    struct any result;
    bool done = (arguments != NULL || refuse(board, "MemoryError: out of memory")) &&
                kernel_take_arguments(board, arguments, count) &&
                kernel_run(board, kernel, arguments, 1, &result) && answer(board, &result);
    free(arguments);
    return done;
}

void kernel_release(struct kernel *kernel)
{
    module_release(kernel->module);
    free(kernel);
}
