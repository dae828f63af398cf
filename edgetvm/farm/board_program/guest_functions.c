#define _GNU_SOURCE

#include "guest_functions.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "guest.h"
#include "pool.h"

enum { WORKSPACES = 16, COMPLAINT_BYTES = 3000 };

static char complaint[COMPLAINT_BYTES];
static atomic_flag complained = ATOMIC_FLAG_INIT;

const char *guest_complaint(void)
{
    return complaint;
}

void guest_forget_complaint(void)
{
    complaint[0] = '\0';
    atomic_flag_clear(&complained);
}

/* Threads that share a kernel may all fail: the first one is heard. */
static void raise_parts(const char *kind, const char **parts, int32_t count)
{
    if (atomic_flag_test_and_set(&complained)) {
        return;
    }
    int put = snprintf(complaint, sizeof complaint, "%s: ", kind);
    for (int32_t i = 0; i < count && put >= 0 && put < COMPLAINT_BYTES; i++) {
        put += snprintf(complaint + put, (size_t)(COMPLAINT_BYTES - put), "%s",
                        parts[i] != NULL ? parts[i] : "");
    }
}

static void raise_text(const char *kind, const char *message)
{
    raise_parts(kind, &message, 1);
}

/* Memory that kernels ask for in the middle of a run. It is kept for the next run: to ask the
   system for pages each time would be measured too. */
struct workspace {
    void *memory;
    size_t size_bytes;
    bool taken;
};

static _Thread_local struct workspace workspaces[WORKSPACES];

static struct workspace *find_workspace(size_t size_bytes)
{
    struct workspace *found = NULL, *unused = NULL;
    for (size_t i = 0; i < WORKSPACES; i++) {
        struct workspace *one = &workspaces[i];
        if (one->taken) {
            continue;
        }
        unused = unused == NULL || one->size_bytes < unused->size_bytes ? one : unused;
        bool fits = one->size_bytes >= size_bytes;
        if (fits && (found == NULL || one->size_bytes < found->size_bytes)) {
            found = one;
        }
    }
    return found != NULL ? found : unused;
}

static void *allocate_workspace(int device_type, int device_id, uint64_t size_bytes, int code,
                                int bits)
{
    (void)device_type, (void)device_id, (void)code, (void)bits;
    size_t size = 0;
    if (size_bytes > SIZE_MAX / 2 || !round_up((size_t)size_bytes | 1, 128, &size)) {
        return NULL;
    }
    struct workspace *one = find_workspace(size);
    if (one == NULL) {
        return NULL;
    }
    if (one->size_bytes < size) {
        free(one->memory);
        one->memory = aligned_alloc(128, size);
        one->size_bytes = one->memory != NULL ? size : 0;
    }
    one->taken = one->memory != NULL;
    return one->memory;
}

static int free_workspace(int device_type, int device_id, void *memory)
{
    (void)device_type, (void)device_id;
    for (size_t i = 0; i < WORKSPACES; i++) {
        if (workspaces[i].memory == memory) {
            workspaces[i].taken = false;
            return 0;
        }
    }
    return -1;
}

/* One launch at a time shares its work, so one barrier serves all. */
static _Atomic uint32_t arrived, passed;

static int wait_at_barrier(int task, const struct tvm_group *group)
{
    (void)task;
    if (group->tasks == 1) {
        return 0;
    }
    uint32_t before = atomic_load(&passed);
    if (atomic_fetch_add(&arrived, 1) + 1 == (uint32_t)group->tasks) {
        atomic_store(&arrived, 0);
        atomic_store(&passed, before + 1);
        return 0;
    }
    while (atomic_load(&passed) == before) {
        (void)sched_yield();
    }
    return 0;
}

static int look_up_import(void *library, const char *name, void **function)
{
    (void)library, (void)function;
    char message[300];
    (void)snprintf(message, sizeof message,
                   "the kernel calls the function %.200s, which this board does not have", name);
    raise_text("RuntimeError", message);
    return -1;
}

static int call_import(void *function, const struct any *arguments, int32_t count,
                       struct any *result)
{
    (void)function, (void)arguments, (void)count, (void)result;
    raise_text("RuntimeError", "the kernel calls a function that this board does not have");
    return -1;
}

static int initialise_once(void **handle, int (*initialise)(void **result))
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    int code = 0;
    (void)pthread_mutex_lock(&lock);
    if (*handle == NULL) {
        code = initialise(handle);
    }
    (void)pthread_mutex_unlock(&lock);
    return code;
}

typedef void function(void);

struct entry {
    const char *name;
    function *address;
};

static const struct entry FUNCTIONS[] = {
    {"TVMBackendAllocWorkspace", (function *)allocate_workspace},
    {"TVMBackendFreeWorkspace", (function *)free_workspace},
    {"TVMBackendParallelBarrier", (function *)wait_at_barrier},
    {"TVMFFIEnvModLookupFromImports", (function *)look_up_import},
    {"TVMFFIErrorSetRaisedFromCStr", (function *)raise_text},
    {"TVMFFIErrorSetRaisedFromCStrParts", (function *)raise_parts},
    {"TVMFFIFunctionCall", (function *)call_import},
    {"TVMFFIHandleInitOnce", (function *)initialise_once},
};

uintptr_t guest_function_address(const char *name)
{
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
        if (strcmp(FUNCTIONS[i].name, name) == 0) {
            return (uintptr_t)FUNCTIONS[i].address;
        }
    }
    return 0;
}
