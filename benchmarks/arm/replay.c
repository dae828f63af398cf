/* Runs the kernels of a compiled model as `plan.py` recorded them: replay LIBRARY PLAN OUT [each]

   No interpreter and no virtual machine: what is counted are the kernels, the checks at their heads
   and a loop that calls them. Each run is marked for edgetvm's plugin; with `each`, each call is.
   The outputs are written one behind the other. */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* TVM's calling convention: tvm/ffi/c_api.h and dlpack.h. */
typedef struct {
    int32_t type;
    uint32_t zero;
    union {
        int64_t integer;
        double real;
        void *pointer;
    } value;
} any;

typedef struct {
    void *data;
    int32_t device_type, device_id, rank;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t offset;
} tensor;

typedef int (*kernel)(void *, const any *, int32_t, any *);

enum { INTEGER = 1, REAL = 3, TENSOR = 7, CPU = 1, RUNS = 3, SPARE = 16 };
enum { BEGIN = 1, END };

struct call {
    kernel run;
    any *arguments;
    int32_t count;
};

static void mark(int what)
{
    close((int)(0xED6E7300u | (unsigned)what));
}

static void fail(const char *what, const char *which)
{
    fprintf(stderr, "replay: %s %s\n", what, which);
    exit(1);
}

EXPORT void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count)
{
    fprintf(stderr, "%s: ", kind);
    for (int32_t i = 0; i < count; i++)
        fprintf(stderr, "%s", parts[i] ? parts[i] : "");
    fprintf(stderr, "\n");
}

EXPORT void __aeabi_unwind_cpp_pr0(void) {}

/* Memory that kernels ask for while they run: kept, as TVM's pool keeps it. */
static struct {
    void *memory;
    size_t size;
    int taken;
} spare[SPARE];

static void *take(int device_type, int device_id, uint64_t size, int code, int bits)
{
    (void)device_type, (void)device_id, (void)code, (void)bits;
    for (int i = 0; i < SPARE; i++)
        if (!spare[i].taken && spare[i].size >= size) {
            spare[i].taken = 1;
            return spare[i].memory;
        }
    for (int i = 0; i < SPARE; i++)
        if (!spare[i].taken) {
            free(spare[i].memory);
            if (posix_memalign(&spare[i].memory, 64, (size_t)size))
                return NULL;
            spare[i].size = (size_t)size;
            spare[i].taken = 1;
            return spare[i].memory;
        }
    return NULL;
}

static int give(int device_type, int device_id, void *memory)
{
    (void)device_type, (void)device_id;
    for (int i = 0; i < SPARE; i++)
        if (spare[i].taken && spare[i].memory == memory)
            spare[i].taken = 0;
    return 0;
}

static void *library(const char *path)
{
    void *found = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!found)
        fail("cannot load", dlerror());
    void **slot = dlsym(found, "__TVMBackendAllocWorkspace");
    if (slot)
        *slot = (void *)take;
    slot = dlsym(found, "__TVMBackendFreeWorkspace");
    if (slot)
        *slot = (void *)give;
    return found;
}

static const char *plan_bytes;
static const int64_t *plan;

static void open_plan(const char *path)
{
    struct stat state;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &state))
        fail("cannot read", path);
    void *memory = mmap(NULL, (size_t)state.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (memory == MAP_FAILED)
        fail("cannot map", path);
    plan_bytes = memory;
    plan = memory;
}

static int64_t next(void)
{
    return *plan++;
}

static char **slots(int64_t count)
{
    char **found = calloc((size_t)count + 1, sizeof *found);
    for (int64_t i = 0; i < count; i++) {
        size_t size = (size_t)next();
        int64_t content = next();
        if (posix_memalign((void **)&found[i], 64, size))
            fail("no memory for", "a tensor");
        if (content)
            memcpy(found[i], plan_bytes + content, size);
        else
            memset(found[i], 0, size);
    }
    return found;
}

static tensor *tensors(int64_t count, char **memory)
{
    tensor *found = calloc((size_t)count + 1, sizeof *found);
    for (int64_t i = 0; i < count; i++) {
        tensor *one = &found[i];
        char *slot = memory[next()];
        one->data = slot + next();
        one->device_type = CPU;
        one->code = (uint8_t)next();
        one->bits = (uint8_t)next();
        one->lanes = 1;
        one->rank = (int32_t)next();
        one->shape = calloc((size_t)one->rank * 2 + 1, sizeof *one->shape);
        one->strides = one->shape + one->rank;
        for (int32_t axis = 0; axis < one->rank; axis++)
            one->shape[axis] = next();
        int64_t step = 1;
        for (int32_t axis = one->rank; axis-- > 0; step *= one->shape[axis])
            one->strides[axis] = step;
    }
    return found;
}

static struct call *calls(int64_t count, void *from, tensor *known)
{
    struct call *found = calloc((size_t)count + 1, sizeof *found);
    for (int64_t i = 0; i < count; i++) {
        char name[512];
        snprintf(name, sizeof name, "__tvm_ffi_%s", plan_bytes + next());
        found[i].run = (kernel)dlsym(from, name);
        if (!found[i].run)
            fail("the library has no", name);
        found[i].count = (int32_t)next();
        found[i].arguments = calloc((size_t)found[i].count + 1, sizeof(any));
        for (int32_t j = 0; j < found[i].count; j++) {
            any *argument = &found[i].arguments[j];
            argument->type = (int32_t)next();
            argument->value.integer = next();
            if (argument->type == TENSOR)
                argument->value.pointer = &known[argument->value.integer];
        }
    }
    return found;
}

static void run(const struct call *todo, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        any result = {0, 0, {0}};
        if (todo[i].run(NULL, todo[i].arguments, todo[i].count, &result))
            fail("a kernel", "failed");
    }
}

static void write_outputs(const char *path, int64_t count, const tensor *known)
{
    FILE *out = fopen(path, "wb");
    if (!out)
        fail("cannot write", path);
    for (int64_t i = 0; i < count; i++) {
        const tensor *one = &known[next()];
        size_t size = (size_t)one->bits / 8;
        for (int32_t axis = 0; axis < one->rank; axis++)
            size *= (size_t)one->shape[axis];
        fwrite(one->data, 1, size, out);
    }
    fclose(out);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        fail("usage:", "replay LIBRARY PLAN OUT [each]");
    void *from = library(argv[1]);
    open_plan(argv[2]);
    int64_t slot_count = next(), tensor_count = next(), call_count = next(), output_count = next();
    tensor *known = tensors(tensor_count, slots(slot_count));
    struct call *todo = calls(call_count, from, known);
    run(todo, call_count);
    mark(BEGIN);
    mark(END);
    if (argc > 4) {
        for (int64_t i = 0; i < call_count; i++) {
            mark(BEGIN);
            run(todo + i, 1);
            mark(END);
        }
    } else {
        for (int i = 0; i < RUNS; i++) {
            mark(BEGIN);
            run(todo, call_count);
            mark(END);
        }
    }
    write_outputs(argv[3], output_count, known);
    return 0;
}
