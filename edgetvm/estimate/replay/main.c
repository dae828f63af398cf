/* Runs kernels one by one, for QEMU to watch or to be timed:

       edgetvm-replay LIBRARY CONTENT RUNS MILLISECONDS [FUNCTION DTYPE:SHAPE…]

   LIBRARY is a model's own, with the function that calls its kernels; or it has a kernel, whose
   name and the tensors of whose arguments are given (`main float32:1,64,56,56`). CONTENT is what
   the tensors hold, one behind the other: of a model its inputs; zeros behind its end. All calls are made RUNS times,
   each marked for the plugin `trace.c` after a stretch of nothing; and then, with MILLISECONDS,
   timed for so long, all together, and as long again each where it stands among the others.

   It writes `call NAME` for each call or, timed, `run NANOSECONDS`, the least of all repetitions,
   `call NAME NANOSECONDS`, likewise, and `add PICOSECONDS` of one of a chain of additions, which is
   a core's clock. */

#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

enum { BEGIN = 1, END, ALIGNMENT = 64, MOST_TENSORS = 128, ADDS = 100000 };
enum { MOST_ADDING_NS = 50000000 };

typedef int32_t run_function(void *const *blocks, int32_t first, int32_t end);

struct work {
    struct module *module;
    /* A model's. */
    run_function *run;
    const char *names;
    int32_t calls;
    void **blocks;
    /* A kernel's. */
    guest_function *kernel;
    int32_t count;
    struct any values[MOST_TENSORS];
    struct dl_tensor tensors[MOST_TENSORS];
    int64_t shapes[MOST_TENSORS][MAX_RANK];
};

static void fail_with(const char *what, const char *which)
{
    (void)fprintf(stderr, "replay: %s %s\n", what, which);
    exit(1);
}

static void mark(int what)
{
    (void)close((int)(0xED6E7300u | (unsigned)what));
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *filled(size_t size_bytes, FILE *content)
{
    size_t room = (size_bytes / ALIGNMENT + 1) * ALIGNMENT;
    uint8_t *memory = aligned_alloc(ALIGNMENT, room);
    if (memory == NULL) {
        fail_with("no memory for", "a tensor");
    }
    size_t got = content != NULL ? fread(memory, 1, size_bytes, content) : 0;
    memset(memory + got, 0, room - got); /* every page is written to, and so its own */
    return memory;
}

static const void *symbol(const struct work *work, const char *name, uint32_t flags)
{
    return image_symbol(&work->module->image, name, 1, flags);
}

static void find_model(struct work *work, FILE *content)
{
    const void *run = symbol(work, "edgetvm_run", PF_R | PF_X);
    const int32_t *calls = symbol(work, "edgetvm_calls", PF_R);
    const int32_t *count = symbol(work, "edgetvm_blocks", PF_R);
    const int64_t *sizes = symbol(work, "edgetvm_block_bytes", PF_R);
    work->names = symbol(work, "edgetvm_names", PF_R);
    if (run == NULL || calls == NULL || count == NULL || sizes == NULL || work->names == NULL) {
        fail_with("the library has no", "function that calls its kernels");
    }
    memcpy(&work->run, &run, sizeof work->run);
    work->calls = *calls;
    work->blocks = calloc((size_t)*count + 1, sizeof *work->blocks);
    for (int32_t i = 0; i < *count; i++) {
        work->blocks[i] = filled((size_t)sizes[i], i > 0 ? content : NULL);
    }
}

static int32_t read_shape(const char *text, int64_t *shape)
{
    int32_t rank = 0;
    while (*text != '\0' && rank < MAX_RANK) {
        char *end = NULL;
        shape[rank++] = strtoll(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
    return rank;
}

static void read_dtype(const char *text, size_t length, struct dl_tensor *tensor)
{
    static const struct {
        const char *name;
        uint8_t code;
    } KINDS[] = {{"int", 0}, {"uint", 1}, {"float", 2}, {"bfloat", 4}, {"bool", 6}};
    size_t letters = strcspn(text, "0123456789:");
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        if (strlen(KINDS[i].name) == letters && strncmp(KINDS[i].name, text, letters) == 0) {
            tensor->code = KINDS[i].code;
            tensor->bits = letters < length ? (uint8_t)atoi(text + letters) : 8;
            return;
        }
    }
    fail_with("there is no type", text);
}

static void add_tensor(struct work *work, const char *text, FILE *content)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || work->count == MOST_TENSORS) {
        fail_with("it cannot take the tensor", text);
    }
    struct dl_tensor *tensor = &work->tensors[work->count];
    tensor->device_type = DEVICE_CPU;
    tensor->lanes = 1;
    read_dtype(text, (size_t)(colon - text), tensor);
    tensor->shape = work->shapes[work->count];
    tensor->rank = read_shape(colon + 1, tensor->shape);
    size_t size = (size_t)(tensor->bits + 7) / 8;
    for (int32_t axis = 0; axis < tensor->rank; axis++) {
        size *= (size_t)tensor->shape[axis];
    }
    tensor->data = filled(size, content);
    work->values[work->count++] = (struct any){.type = TYPE_TENSOR, .pointer = tensor};
}

static void find_kernel(struct work *work, const char *name, char **tensors, int count,
                        FILE *content)
{
    work->kernel = module_function(work->module, name);
    if (work->kernel == NULL) {
        fail_with("the library has no", name);
    }
    work->names = "kernel\n";
    work->calls = 1;
    for (int i = 0; i < count; i++) {
        add_tensor(work, tensors[i], content);
    }
}

static void call(struct work *work, int32_t first, int32_t end)
{
    struct any result = {0};
    int code = work->kernel != NULL
                   ? work->kernel(NULL, work->values, work->count, &result)
                   : work->run(work->blocks, first, end);
    if (code != 0) {
        fail_with("a kernel failed:", guest_complaint());
    }
}

static uint64_t least_ns(struct work *work, uint64_t limit_ns)
{
    uint64_t least = UINT64_MAX, began = now_ns(), times = 1;
    for (;;) {
        uint64_t before = now_ns();
        for (uint64_t i = 0; i < times; i++) {
            call(work, 0, work->calls);
        }
        uint64_t after = now_ns(), mean = (after - before) / times;
        least = mean < least ? mean : least;
        if (after - began > limit_ns) {
            return least;
        }
        /* What is read off the clock is no part of a call of 20 microseconds and more. */
        times = mean < 20000 ? 20000 / (mean + 1) + 1 : 1;
    }
}

/* The time of an addition that waits for the one before it: one cycle of every core. */
static uint64_t add_ps(uint64_t limit_ns)
{
    uint64_t least = UINT64_MAX, began = now_ns();
    while (now_ns() - began < limit_ns) {
        uint64_t before = now_ns(), sum = before;
        for (int i = 0; i < ADDS; i += 10) {
            for (int j = 0; j < 10; j++) {
                sum += (uint64_t)i;
                __asm__ volatile("" : "+r"(sum));
            }
        }
        uint64_t took = (now_ns() - before) * 1000 / ADDS;
        least = took < least ? took : least;
    }
    return least;
}

/* With the time of each where `each` is given. */
static void name_all(const struct work *work, const uint64_t *each)
{
    const char *name = work->names;
    for (int32_t i = 0; i < work->calls; i++) {
        size_t length = strcspn(name, "\n");
        (void)printf("call %.*s", (int)length, name);
        if (each != NULL) {
            (void)printf(" %llu", (unsigned long long)each[i]);
        }
        (void)putchar('\n');
        name += length + 1;
    }
}

/* A call's time, or with `end` of `first` that of reading the clock. */
static uint64_t one_ns(struct work *work, int32_t first, int32_t end)
{
    uint64_t before = now_ns();
    if (first < end) {
        call(work, first, end);
    }
    return now_ns() - before;
}

/* The least time of each call among the others: what disturbs one call spares the others of a run. */
static void time_each(struct work *work, uint64_t limit_ns, uint64_t *least)
{
    uint64_t clock = UINT64_MAX, began = now_ns();
    memset(least, 0xFF, sizeof *least * (size_t)work->calls);
    do {
        uint64_t nothing = one_ns(work, 0, 0);
        clock = nothing < clock ? nothing : clock;
        for (int32_t i = 0; i < work->calls; i++) {
            uint64_t took = one_ns(work, i, i + 1);
            least[i] = took < least[i] ? took : least[i];
        }
    } while (now_ns() - began < limit_ns);
    for (int32_t i = 0; i < work->calls; i++) {
        least[i] -= least[i] < clock ? least[i] : clock;
    }
}

static void time_all(struct work *work, uint64_t limit_ns)
{
    uint64_t *each = calloc((size_t)work->calls + 1, sizeof *each);
    if (each == NULL) {
        fail_with("no memory for", "times");
    }
    (void)printf("run %llu\n", (unsigned long long)least_ns(work, limit_ns));
    time_each(work, limit_ns, each);
    name_all(work, each);
    free(each);
    uint64_t adding_ns = limit_ns < MOST_ADDING_NS ? limit_ns : MOST_ADDING_NS;
    (void)printf("add %llu\n", (unsigned long long)add_ps(adding_ns));
}

static void show_all(struct work *work)
{
    mark(BEGIN);
    mark(END);
    for (int32_t i = 0; i < work->calls; i++) {
        mark(BEGIN);
        call(work, i, i + 1);
        mark(END);
    }
}

int main(int argc, char **argv)
{
    static struct work work;
    edgetvm_error error = {0};
    if (argc < 5) {
        fail_with("usage:",
                  "edgetvm-replay LIBRARY CONTENT RUNS MILLISECONDS [FUNCTION DTYPE:SHAPE…]");
    }
    if (module_load(argv[1], &work.module, &error) != EDGETVM_OK) {
        fail_with("cannot load the library:", error.text);
    }
    FILE *content = fopen(argv[2], "rb");
    if (argc > 5) {
        find_kernel(&work, argv[5], argv + 6, argc - 6, content);
    } else {
        find_model(&work, content);
    }
    for (int i = atoi(argv[3]); i > 0; i--) {
        show_all(&work);
    }
    uint64_t limit_ns = strtoull(argv[4], NULL, 10) * 1000000u;
    if (limit_ns > 0) {
        time_all(&work, limit_ns);
    } else {
        name_all(&work, NULL);
    }
    return 0;
}
