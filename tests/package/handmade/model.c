/*
 * A compiled model as edgetvm links them, written by hand: it has every kind of relocation that the
 * runtime knows, shares its work among threads, and fails when it is asked to.
 *
 * `x` float32[4] -> `y` float32[4] = 3 floor(x) + the number of the element, + 100 for each thread
 * that did not do its part. Where x[0] is below zero, the kernel `sometimes` fails: with -1 it says
 * why, with -2 a thread of its own fails, with -3 it says nothing.
 */
#include <stdint.h>

struct group {
    void *barrier;
    int32_t tasks;
};
typedef int task(int, struct group *, void *);

float floorf(float value);
void *memset(void *to, int value, __SIZE_TYPE__ size);
void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count);
__attribute__((weak)) int (*__TVMBackendParallelLaunch)(task *, void *, int);

const int32_t edgetvm_calls = 2;
const char edgetvm_names[] = "always\nsometimes\n";
const int32_t edgetvm_blocks = 3;
const int64_t edgetvm_block_bytes[] = {256, 16, 16};

/* To a hidden place: moved with the image. To an exported one: by its symbol. */
static float numbers[] = {0, 1, 2, 3, 3};
static float *const factor = &numbers[4];
extern float *const edgetvm_number;
float *const edgetvm_number = &numbers[0];
float *const *const edgetvm_number_place = &edgetvm_number;
static const char *const reasons[] = {"x[0]", " is ", "below\nzero"};

static int mark(int index, struct group *group, void *data)
{
    int32_t *marks = data;
    if (index < 16) {
        marks[index] = group->tasks;
    }
    return 0;
}

static int refuse(int index, struct group *group, void *data)
{
    (void)data;
    return index + 1 == group->tasks ? -22 : 0;
}

static int32_t always(int32_t *marks, const float *x, float *y)
{
    memset(marks, 0, 256);
    int code = __TVMBackendParallelLaunch(mark, marks, 0);
    for (int i = 0; i < 4; i++) {
        y[i] = *factor * floorf(x[i]) + (*edgetvm_number_place)[i];
        for (int task = 0; task < marks[0] && task < 16; task++) {
            y[i] += marks[task] == marks[0] ? 0 : 100;
        }
    }
    return code;
}

static int32_t sometimes(const float *x)
{
    if (x[0] == -1) {
        const char *parts[] = {reasons[0], reasons[1], reasons[2]};
        TVMFFIErrorSetRaisedFromCStrParts("ValueError", parts, 3);
    }
    if (x[0] == -2) {
        return __TVMBackendParallelLaunch(refuse, 0, 0);
    }
    return x[0] < 0 ? -7 : 0;
}

int32_t edgetvm_run(void *const *blocks, int32_t first, int32_t end)
{
    int32_t code = 0;
    for (int32_t call = first; call < end && code == 0; call++) {
        code = call == 0 ? always(blocks[0], blocks[1], blocks[2]) : sometimes(blocks[1]);
    }
    return code;
}
