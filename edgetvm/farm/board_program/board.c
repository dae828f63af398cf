#define _GNU_SOURCE

#include "board.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data.h"
#include "kernel.h"

bool refuse(struct board *board, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(board->problem, sizeof board->problem, format, arguments);
    va_end(arguments);
    return false;
}

bool board_needs_pool(struct board *board)
{
    edgetvm_error error;
    if (board->pool == NULL && pool_open(&board->pool, 0, 0, false, &error) != EDGETVM_OK) {
        pool_close(board->pool);
        board->pool = NULL;
        return refuse(board, "RuntimeError: %s", error.text);
    }
    return true;
}

static bool answer_nothing(struct board *board)
{
    wire_answer(&board->wire, TYPE_NONE, 0);
    return true;
}

/* The version of the protocol, and the constructor of a session of another kind. */
static bool greet(struct board *board)
{
    static const char VERSION[] = "0.8.0";
    char version[sizeof VERSION];
    uint64_t length = wire_u64(&board->wire);
    if (length != sizeof VERSION - 1) {
        return refuse(board, "RuntimeError: this board speaks version %s of TVM's RPC protocol, "
                             "and the client another one", VERSION);
    }
    wire_take(&board->wire, version, (size_t)length);
    if (!all_came(board)) {
        return false;
    }
    if (memcmp(version, VERSION, sizeof VERSION - 1) != 0) {
        return refuse(board, "RuntimeError: this board speaks version %s of TVM's RPC protocol, "
                             "and the client version %.5s", VERSION, version);
    }
    if (wire_i32(&board->wire) != 0) {
        return refuse(board, "RuntimeError: this board has no sessions of another kind "
                             "(connect without session_constructor_args)");
    }
    board->greeted = true;
    return answer_nothing(board);
}

static bool find_function(struct board *board, int32_t count)
{
    char name[NAME_BYTES];
    if (!takes(board, count, 1) || !take_text(board, name, sizeof name)) {
        return false;
    }
    const struct board_function *function = stock_function(name);
    function = function != NULL ? function : service_function(name);
    uint64_t handle = 0;
    if (function != NULL) {
        handle = handle_add(&board->handles, HANDLE_FUNCTION, (void *)(uintptr_t)function);
        if (handle == 0) {
            return refuse(board, "MemoryError: the client holds too many handles");
        }
    }
    wire_answer(&board->wire, TYPE_POINTER, handle);
    return true;
}

static bool call_function(struct board *board, const struct board_function *function,
                          int32_t count)
{
    return function->serve != NULL ? service_call(board, function, count)
                                   : function->call(board, count);
}

static bool call(struct board *board)
{
    uint64_t handle = wire_u64(&board->wire);
    int32_t count = wire_i32(&board->wire);
    void *object = NULL;
    if (!all_came(board)) {
        return false;
    }
    switch (handle_kind_of(&board->handles, handle, &object)) {
    case HANDLE_FUNCTION:
        return call_function(board, object, count);
    case HANDLE_KERNEL:
        return kernel_call(board, object, count);
    case HANDLE_TIMER:
        return timer_call(board, object, count);
    default:
        return refuse(board, "ValueError: that is no function of this session");
    }
}

static bool free_handle(struct board *board, int32_t count)
{
    uint64_t handle = 0;
    void *object = NULL;
    if (!takes(board, count, 1) || !take_handle(board, &handle) || !all_came(board)) {
        return false;
    }
    switch (handle_kind_of(&board->handles, handle, &object)) {
    case HANDLE_FUNCTION:
        break;
    case HANDLE_MODULE:
        module_release(object);
        break;
    case HANDLE_KERNEL:
        kernel_release(object);
        break;
    case HANDLE_TIMER:
        timer_release(object);
        break;
    default:
        return refuse(board, "ValueError: that is no handle of this session");
    }
    handle_remove(&board->handles, handle);
    return answer_nothing(board);
}

static bool get_attribute(struct board *board)
{
    (void)argument_read(board);
    int64_t kind = 0;
    if (!take_integer(board, 0, INT32_MAX, &kind) || !all_came(board)) {
        return false;
    }
    /* 0: whether the device is there. Of the others TVM's CPU has none either. */
    wire_answer(&board->wire, kind == 0 ? TYPE_INT : TYPE_NONE, 1);
    return true;
}

static bool answer_request(struct board *board, int32_t code)
{
    if (!board->greeted && code != PACKET_INIT_SERVER) {
        return refuse(board, "RuntimeError: the client did not say which protocol it speaks");
    }
    /* Copies and calls have no count of arguments at their begin. */
    switch (code) {
    case PACKET_INIT_SERVER:
        return greet(board);
    case PACKET_CALL:
        return call(board);
    case PACKET_COPY_FROM_REMOTE:
        return data_copy_from(board);
    case PACKET_COPY_TO_REMOTE:
        return data_copy_to(board);
    default:
        break;
    }
    int32_t count = wire_i32(&board->wire);
    switch (code) {
    case PACKET_GET_FUNCTION:
        return find_function(board, count);
    case PACKET_FREE_HANDLE:
        return free_handle(board, count);
    case PACKET_GET_ATTRIBUTE:
        return get_attribute(board);
    case PACKET_ALLOCATE:
        return data_allocate(board, count);
    case PACKET_ALLOCATE_SCOPED:
        return data_allocate_scoped(board, count);
    case PACKET_FREE_DATA:
        return data_free(board, count);
    case PACKET_COPY_AMONG_REMOTE:
        return data_copy_among(board, count);
    case PACKET_SET_DEVICE:
    case PACKET_SYNCHRONISE:
    case PACKET_FREE_STREAM:
    case PACKET_SET_STREAM:
        /* A CPU has done all that it was told when it answers. */
        return answer_nothing(board);
    case PACKET_CREATE_STREAM:
    case PACKET_GET_STREAM:
        wire_answer(&board->wire, TYPE_POINTER, 0);
        return true;
    default:
        return refuse(board, "RuntimeError: the board does not know requests of the kind %d",
                      (int)code);
    }
}

void board_serve(struct board *board)
{
    int32_t code = 0;
    while (wire_next(&board->wire, &code) && code != PACKET_SHUTDOWN) {
        bool answered = answer_request(board, code);
        /* What a refused request still has to say stands before the next one. */
        wire_skip_rest(&board->wire);
        if (!answered) {
            wire_answer_error(&board->wire, board->problem);
        }
    }
}
