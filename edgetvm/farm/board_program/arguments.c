#define _GNU_SOURCE

#include "arguments.h"

#include <string.h>

struct tensor tensor_read(struct board *board)
{
    struct wire *wire = &board->wire;
    struct tensor tensor = {.handle = wire_u64(wire)};
    tensor.device_type = wire_i32(wire);
    tensor.device_id = wire_i32(wire);
    tensor.rank = wire_i32(wire);
    wire_take(wire, &tensor.code, sizeof tensor.code);
    wire_take(wire, &tensor.bits, sizeof tensor.bits);
    wire_take(wire, &tensor.lanes, sizeof tensor.lanes);
    if (tensor.rank < 0 || tensor.rank > MAX_RANK) {
        wire->malformed = true;
        return tensor;
    }
    wire_take(wire, tensor.shape, (size_t)tensor.rank * sizeof *tensor.shape);
    tensor.byte_offset = wire_u64(wire);
    return tensor;
}

/* Objects tell once more what they are; those that stay with the client are of no use here. */
static struct argument read_object(struct board *board)
{
    struct argument argument = {.type = wire_i32(&board->wire)};
    argument.bits = wire_u64(&board->wire);
    if (argument.type != TYPE_TEXT && argument.type != TYPE_BYTES) {
        board->wire.malformed = true;
    }
    return argument;
}

struct argument argument_read(struct board *board)
{
    struct argument argument = {.type = wire_i32(&board->wire)};
    switch (argument.type) {
    case TYPE_NONE:
        break;
    case TYPE_TENSOR:
        argument.tensor = tensor_read(board);
        break;
    case TYPE_INT:
    case TYPE_BOOL:
    case TYPE_FLOAT:
    case TYPE_POINTER:
    case TYPE_DTYPE:
    case TYPE_DEVICE:
    case TYPE_FUNCTION:
    case TYPE_MODULE:
    case TYPE_RAW_TEXT:
    case TYPE_RAW_BYTES:
        argument.bits = wire_u64(&board->wire);
        break;
    default:
        argument = read_object(board);
        break;
    }
    return argument;
}

static bool is_text(const struct argument *argument)
{
    return argument->type == TYPE_RAW_TEXT || argument->type == TYPE_RAW_BYTES ||
           argument->type == TYPE_TEXT || argument->type == TYPE_BYTES;
}

bool takes(struct board *board, int32_t count, int32_t wanted)
{
    return count == wanted || refuse(board, "TypeError: the function takes %d arguments, not %d",
                                     (int)wanted, (int)count);
}

bool all_came(struct board *board)
{
    return !board->wire.malformed ||
           refuse(board, "ValueError: the request is shorter than what it must hold");
}

bool take_integer(struct board *board, int64_t least, int64_t most, int64_t *value)
{
    struct argument argument = argument_read(board);
    *value = (int64_t)argument.bits;
    if (argument.type != TYPE_INT && argument.type != TYPE_BOOL) {
        return refuse(board, "TypeError: an argument is no integer");
    }
    return (*value >= least && *value <= most) ||
           refuse(board, "ValueError: %lld is not between %lld and %lld", (long long)*value,
                  (long long)least, (long long)most);
}

bool take_text(struct board *board, char *text, size_t room)
{
    struct argument argument = argument_read(board);
    text[0] = '\0';
    if (!all_came(board)) {
        return false;
    }
    if (argument.type == TYPE_NONE) {
        return true;
    }
    if (!is_text(&argument)) {
        return refuse(board, "TypeError: an argument is no text");
    }
    if (argument.bits >= room) {
        return refuse(board, "ValueError: a text is too long");
    }
    wire_take(&board->wire, text, (size_t)argument.bits);
    text[argument.bits] = '\0';
    return all_came(board);
}

bool take_blob(struct board *board, uint64_t *size_bytes)
{
    struct argument argument = argument_read(board);
    *size_bytes = argument.bits;
    if (!is_text(&argument)) {
        return refuse(board, "TypeError: an argument is no bytes");
    }
    if (argument.bits > board->wire.left) {
        board->wire.malformed = true;
    }
    return all_came(board);
}

bool take_handle(struct board *board, uint64_t *handle)
{
    struct argument argument = argument_read(board);
    *handle = argument.bits;
    bool held = argument.type == TYPE_POINTER || argument.type == TYPE_FUNCTION ||
                argument.type == TYPE_MODULE;
    return held || refuse(board, "TypeError: an argument is no handle");
}
