/* What the library allocates, counted and refused: the linker is told to call these instead. */
#include <errno.h>
#include <stdlib.h>

#include "checks.h"
#include "edgetvm.h"

atomic_int watching, allocations;
/* How many more are answered; all of them below zero. */
static atomic_int allowed = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static int answered(void)
{
    allocations += watching;
    if (allowed == 0) {
        errno = ENOMEM;
        return 0;
    }
    allowed -= allowed > 0;
    return 1;
}

void *__wrap_malloc(size_t size)
{
    return answered() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return answered() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
    return answered() ? __real_realloc(old, size) : NULL;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return answered() ? __real_aligned_alloc(alignment, size) : NULL;
}

/* Whichever allocation of an opening is the first that fails: it is told, and nothing is left. */
void check_starved(const char *path)
{
    edgetvm_status status = EDGETVM_NO_MEMORY;
    edgetvm_config config = {.threads = 2};
    int answers = 0;
    for (; status == EDGETVM_NO_MEMORY; answers++) {
        edgetvm_model *model = NULL;
        edgetvm_error error;
        allowed = answers;
        status = edgetvm_open(path, &config, &model, &error);
        allowed = -1;
        CHECK((status == EDGETVM_OK) == (model != NULL));
        CHECK((status == EDGETVM_OK) == (error.text[0] == '\0'));
        edgetvm_close(model);
    }
    CHECK(status == EDGETVM_OK && answers > 10);
}
