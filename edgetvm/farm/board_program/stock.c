/* The functions that TVM's own server has, for its stock client. */
#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data.h"
#include "files.h"
#include "kernel.h"

/* Clients send and fetch longer copies in parts of this size. */
enum { COPY_BYTES = 16 << 20 };
enum { PART_BYTES = 64 << 10, MAX_LIST_BYTES = 1 << 20 };
/* It gets its name when it is whole. */
#define UNFINISHED ".upload"

static bool answer_nothing(struct board *board)
{
    wire_answer_result(&board->wire, TYPE_NONE, 0);
    return true;
}

static bool take_name(struct board *board, char *name)
{
    return take_text(board, name, NAME_BYTES) &&
           (file_name_is_plain(name) ||
            refuse(board, "ValueError: %.80s is no name for a file here (one without folders)",
                   name[0] != '\0' ? name : "\"\""));
}

static bool write_all(int file, const uint8_t *data, size_t size_bytes)
{
    while (size_bytes > 0) {
        ssize_t put = write(file, data, size_bytes);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        data += put > 0 ? put : 0;
        size_bytes -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

static bool receive_file(struct board *board, int file, uint64_t size_bytes)
{
    uint8_t part[PART_BYTES];
    while (size_bytes > 0) {
        size_t size = size_bytes < sizeof part ? (size_t)size_bytes : sizeof part;
        wire_take(&board->wire, part, size);
        if (!all_came(board)) {
            return false;
        }
        if (!write_all(file, part, size)) {
            return refuse(board, "OSError: the board cannot keep the file: %s", strerror(errno));
        }
        size_bytes -= size;
    }
    return true;
}

static bool upload(struct board *board, int32_t count)
{
    char name[NAME_BYTES];
    uint64_t size = 0;
    if (!takes(board, count, 2) || !take_name(board, name) || !take_blob(board, &size)) {
        return false;
    }
    int file = open(UNFINISHED, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) {
        return refuse(board, "OSError: the board cannot keep the file: %s", strerror(errno));
    }
    bool came = receive_file(board, file, size);
    bool kept = close(file) == 0 && came && rename(UNFINISHED, name) == 0;
    if (!kept) {
        int number = errno;
        (void)unlink(UNFINISHED);
        return came ? refuse(board, "OSError: the board cannot keep the file: %s", strerror(number))
                    : false;
    }
    return answer_nothing(board);
}

static bool send_file(struct board *board, int file, uint64_t size_bytes)
{
    uint8_t part[PART_BYTES];
    wire_begin_blob(&board->wire, TYPE_BYTES, size_bytes);
    while (size_bytes > 0 && !board->wire.lost) {
        size_t size = size_bytes < sizeof part ? (size_t)size_bytes : sizeof part;
        ssize_t got = read(file, part, size);
        if (got <= 0) {
            /* Its length was told already. */
            board->wire.lost = true;
            return true;
        }
        wire_send_part(&board->wire, part, (size_t)got);
        size_bytes -= (uint64_t)got;
    }
    wire_end_parts(&board->wire);
    return true;
}

static bool download(struct board *board, int32_t count)
{
    char name[NAME_BYTES];
    struct stat facts;
    if (!takes(board, count, 1) || !take_name(board, name)) {
        return false;
    }
    int file = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0 || fstat(file, &facts) != 0) {
        return refuse(board, "FileNotFoundError: the file %.80s cannot be read: %s", name,
                      strerror(errno));
    }
    bool done = S_ISREG(facts.st_mode) ? send_file(board, file, (uint64_t)facts.st_size)
                                       : refuse(board, "OSError: %.80s is no file", name);
    (void)close(file);
    return done;
}

/* Clients remove what may not be there, and "" too. */
static bool remove_file(struct board *board, int32_t count)
{
    char name[NAME_BYTES];
    if (!takes(board, count, 1) || !take_text(board, name, sizeof name)) {
        return false;
    }
    if (file_name_is_plain(name)) {
        (void)unlink(name);
    }
    return answer_nothing(board);
}

static bool list_files(struct board *board, int32_t count)
{
    char name[NAME_BYTES];
    if (!takes(board, count, 1) || !take_text(board, name, sizeof name)) {
        return false;
    }
    char *names = malloc(MAX_LIST_BYTES);
    DIR *entries = names != NULL ? opendir(".") : NULL;
    size_t length = 0;
    const struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        size_t size = strlen(entry->d_name);
        if (file_name_is_plain(entry->d_name) && length + size + 1 < MAX_LIST_BYTES) {
            length += (size_t)sprintf(names + length, "%s%s", length > 0 ? "," : "",
                                      entry->d_name);
        }
    }
    if (entries == NULL) {
        free(names);
        return refuse(board, "OSError: the folder cannot be read: %s", strerror(errno));
    }
    (void)closedir(entries);
    wire_begin_blob(&board->wire, TYPE_TEXT, length);
    wire_send_part(&board->wire, names, length);
    wire_end_parts(&board->wire);
    free(names);
    return true;
}

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
    if (!takes(board, count, 1) || !take_name(board, name)) {
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
        return answer_nothing(board);
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
    return answer_nothing(board);
}

static const struct board_function FUNCTIONS[] = {
    {.name = "tvm.rpc.server.upload", .call = upload},
    {.name = "tvm.rpc.server.download", .call = download},
    {.name = "tvm.rpc.server.download_linked_module", .call = download},
    {.name = "tvm.rpc.server.remove", .call = remove_file},
    {.name = "tvm.rpc.server.listdir", .call = list_files},
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
