/*
 * libFuzzer over a session: any bytes as what a client sends, recorded conversations among them.
 *
 * Uploaded code is loaded and never run: in its place stands a kernel that reads and writes all
 * memory of its tensors, and fails now and then.
 */
#define _GNU_SOURCE

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define guest_image_initialise leave_alone
#define module_function find_function


#include "guest.c"
#undef module_function

#include "data.h"
#include "kernel.h"
#include "times.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***arguments);
guest_function *module_function(const struct module *module, const char *name);

enum { MOST_BYTES = 1 << 20, MOST_MEMORY_BYTES = 8 << 20 };

edgetvm_status leave_alone(const struct guest_image *guest, const struct image *image,
                           edgetvm_error *error)
{
    (void)guest, (void)image, (void)error;
    return EDGETVM_OK;
}

/* A clock that goes ever faster, and no sleep: whatever a client wants timed is soon done. */
static uint64_t clock_ns, step_ns;

uint64_t now_ns(void)
{
    clock_ns += step_ns;
    step_ns = step_ns < (uint64_t)1 << 58 ? 2 * step_ns : step_ns;
    return clock_ns;
}

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)wanted, (void)left;
    return 0;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *wanted,
                    struct timespec *left)
{
    (void)clock, (void)flags, (void)wanted, (void)left;
    return 0;
}

static size_t element_bytes(const struct dl_tensor *tensor)
{
    size_t size = ((size_t)tensor->bits * tensor->lanes + 7) / 8;
    for (int32_t axis = 0; axis < tensor->rank; axis++) {
        size *= (size_t)tensor->shape[axis];
    }
    return size;
}

static int stand_in(void *self, const struct any *arguments, int32_t count, struct any *result)
{
    static uint32_t calls;
    uint8_t sum = (uint8_t)calls++;
    (void)self;
    for (int32_t i = 0; i < count; i++) {
        if (arguments[i].type == TYPE_TENSOR) {
            const struct dl_tensor *tensor = arguments[i].pointer;
            uint8_t *memory = (uint8_t *)tensor->data + tensor->byte_offset;
            for (size_t at = 0; at < element_bytes(tensor); at++) {
                sum = (uint8_t)(sum + memory[at]);
                memory[at] = sum;
            }
        }
    }
    result->type = sum % 5;
    return sum % 7 == 6 ? -1 : 0;
}

guest_function *module_function(const struct module *module, const char *name)
{
    return find_function(module, name) != NULL ? stand_in : NULL;
}

/* What the end of a session's process does else. */
static void free_all(struct board *board)
{
    for (uint32_t i = 0; i < board->handles.count; i++) {
        struct handle_slot *slot = &board->handles.slots[i];
        switch (slot->kind) {
        case HANDLE_MODULE:
            module_release(slot->object);
            break;
        case HANDLE_KERNEL:
            kernel_release(slot->object);
            break;
        case HANDLE_TIMER:
            timer_release(slot->object);
            break;
        case HANDLE_DATA:
            free(((struct block *)slot->object)->memory);
            free(slot->object);
            break;
        default:
            break;
        }
    }
    free(board->handles.slots);
    edgetvm_close(board->model);
    pool_close(board->pool);
    pool_close(board->fewer);
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    static char folder[] = "/tmp/edgetvm-fuzz-XXXXXX";
    (void)count, (void)arguments;
    return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Atomic uint32_t state;
    int ends[2], room = 2 * MOST_BYTES;
    if (size > MOST_BYTES || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
        (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        /* Nobody reads the answers: where there is no more room, the client is taken for lost. */
        (void)fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    (void)!write(ends[1], data, size);
    (void)shutdown(ends[1], SHUT_WR);
    clock_ns = 0;
    step_ns = 1000;
    struct board *board = calloc(1, sizeof *board);
    if (board == NULL) {
        abort();
    }
    board->wire.socket = ends[0];
    board->wire.state = &state;
    board->most_data_bytes = MOST_MEMORY_BYTES;
    (void)sched_getaffinity(0, sizeof board->cores, &board->cores);
    board_serve(board);
    free_all(board);
    free(board);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}
