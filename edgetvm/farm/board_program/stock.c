/* The functions that TVM's own server has, for its stock client. */
#define _GNU_SOURCE

#include <stdlib.h>
#include <string.h>

#include "data.h"
#include "kernel.h"
#include "stock_files.h"

/* Clients send and fetch longer copies in parts of this size. */
enum { COPY_BYTES = 16 << 20 };

static bool add_handle(struct board *board, enum handle_kind kind, int32_t type, void *object)
{
    uint64_t handle = handle_add(&board->handles, kind, object);
    if (handle == 0) {
        return refuse(board, "MemoryError: the client holds too many handles");
    }
    wire_answer_result(&board->wire, type, handle);
    return true;
}

static bool load_module(struct board *board, int32_t count)
{
    char name[NAME_BYTES];
    struct module *module = NULL;
    edgetvm_error error;
    if (!takes(board, count, 1) || !stock_take_name(board, name)) {
        return false;
    }
    if (module_load(name, &module, &error) != EDGETVM_OK) {
        return refuse(board, "RuntimeError: %s", error.text);
    }
    if (!add_handle(board, HANDLE_MODULE, TYPE_MODULE, module)) {
        module_release(module);
        return false;
    }
    return true;
}

static bool take_module(struct board *board, struct module **module)
{
    uint64_t handle = 0;
    if (!take_handle(board, &handle)) {
        return false;
    }
    *module = handle_find(&board->handles, handle, HANDLE_MODULE);
    return *module != NULL || refuse(board, "ValueError: that is no module of this session");
}

/* (module, name, also of imported modules: there are none) */
static bool get_function(struct board *board, int32_t count)
{
    struct module *module = NULL;
    char name[NAME_BYTES];
    int64_t imports = 0;
    if (!takes(board, count, 3) || !take_module(board, &module) ||
        !take_text(board, name, sizeof name) || !take_integer(board, 0, 1, &imports)) {
        return false;
    }
    guest_function *function = module_function(module, name);
    if (function == NULL) {
        return stock_answer_nothing(board);
    }
    struct kernel *kernel = malloc(sizeof *kernel);
    if (kernel == NULL) {
        return refuse(board, "MemoryError: out of memory");
    }
    *kernel = (struct kernel){.module = module, .function = function};
    module->holders++;
    if (!add_handle(board, HANDLE_KERNEL, TYPE_FUNCTION, kernel)) {
        kernel_release(kernel);
        return false;
    }
    return true;
}

static bool take_flush(struct board *board, struct timer *timer)
{
    char name[NAME_BYTES];
    if (!take_text(board, name, sizeof name)) {
        return false;
    }
    timer->flush_arguments = strcmp(name, "cache_flush_cpu_non_first_arg") == 0;
    return timer->flush_arguments || name[0] == '\0' ||
           refuse(board, "ValueError: the board has no function %.80s", name);
}

static bool take_timer(struct board *board, struct timer *timer, char *name)
{
    int64_t device_type = 0, device_id = 0;
    return take_module(board, &timer->kernel.module) && take_text(board, name, NAME_BYTES) &&
           take_integer(board, DEVICE_CPU, DEVICE_CPU, &device_type) &&
           take_integer(board, 0, 0, &device_id) &&
           take_integer(board, 1, 1 << 30, &timer->number) &&
           take_integer(board, 0, 1 << 20, &timer->repeat) &&
           take_integer(board, 0, 1 << 30, &timer->least_ms) &&
           take_integer(board, 0, 1 << 30, &timer->most_zeros) &&
           take_integer(board, 0, 1 << 30, &timer->cooldown_ms) &&
           take_integer(board, 1, 1 << 30, &timer->cooldown_each) &&
           take_integer(board, 0, 1 << 30, &timer->flush_bytes) && take_flush(board, timer);
}

static bool make_timer(struct board *board, int32_t count)
{
    char name[NAME_BYTES];
    struct timer taken = {0};
    if (!takes(board, count, 12) || !take_timer(board, &taken, name)) {
        return false;
    }
    taken.kernel.function = module_function(taken.kernel.module, name);
    if (taken.kernel.function == NULL) {
        return refuse(board, "RuntimeError: the module has no function %.80s", name);
    }
    struct timer *timer = malloc(sizeof *timer);
    if (timer == NULL) {
        return refuse(board, "MemoryError: out of memory");
    }
    *timer = taken;
    timer->kernel.module->holders++;
    if (!add_handle(board, HANDLE_TIMER, TYPE_FUNCTION, timer)) {
        timer_release(timer);
        return false;
    }
    return true;
}

static bool tell_copy_bytes(struct board *board, int32_t count)
{
    if (!takes(board, count, 0)) {
        return false;
    }
    wire_answer_result(&board->wire, TYPE_INT, COPY_BYTES);
    return true;
}

/* Numbers from 1 to 10, as TVM's own; whole ones where they may be indices. */
static void fill(const struct tensor *tensor, uint8_t *memory, size_t size_bytes)
{
    enum { FLOAT = 2 };
    uint32_t state = 1;
    size_t step = tensor->bits / 8u > 0 ? tensor->bits / 8u : 1;
    for (size_t at = 0; at + step <= size_bytes; at += step) {
        state = state * 1664525u + 1013904223u;
        double value = 1 + 9.0 * (state >> 8) / (1 << 24);
        float single = (float)value;
        if (tensor->code == FLOAT && step == sizeof single) {
            memcpy(memory + at, &single, step);
        } else if (tensor->code == FLOAT && step == sizeof value) {
            memcpy(memory + at, &value, step);
        } else {
            uint64_t whole = tensor->code == FLOAT ? 0x3c00 : state >> 31;
            memcpy(memory + at, &whole, step < sizeof whole ? step : sizeof whole);
        }
    }
}

static bool fill_randomly(struct board *board, int32_t count)
{
    uint8_t *memory = NULL;
    size_t size = 0;
    if (!takes(board, count, 1)) {
        return false;
    }
    struct argument argument = argument_read(board);
    if (argument.type != TYPE_TENSOR) {
        return refuse(board, "TypeError: only tensors can be filled");
    }
    if (!tensor_memory(board, &argument.tensor, &memory, &size)) {
        return false;
    }
    fill(&argument.tensor, memory, size);
    return stock_answer_nothing(board);
}

static const struct board_function FUNCTIONS[] = {
    {.name = "tvm.rpc.server.upload", .call = stock_upload},
    {.name = "tvm.rpc.server.download", .call = stock_download},
    {.name = "tvm.rpc.server.download_linked_module", .call = stock_download},
    {.name = "tvm.rpc.server.remove", .call = stock_remove},
    {.name = "tvm.rpc.server.listdir", .call = stock_list},
    {.name = "tvm.rpc.server.load_module", .call = load_module},
    {.name = "tvm.rpc.server.ModuleGetFunction", .call = get_function},
    {.name = "tvm.rpc.server.GetCRTMaxPacketSize", .call = tell_copy_bytes},
    {.name = "runtime.RPCTimeEvaluator", .call = make_timer},
    {.name = "tvm.contrib.random.random_fill", .call = fill_randomly},
    {.name = "tvm.contrib.random.random_fill_for_measure", .call = fill_randomly},
};

const struct board_function *stock_function(const char *name)
{
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
        if (strcmp(FUNCTIONS[i].name, name) == 0) {
            return &FUNCTIONS[i];
        }
    }
    return NULL;
}
