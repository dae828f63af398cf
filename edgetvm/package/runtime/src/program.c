#include "program.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

enum { MAX_KERNELS = 1 << 20, MAX_BLOCKS = 4096 };

static edgetvm_status fail_program(edgetvm_error *error)
{
    return fail(error, EDGETVM_BAD_LIBRARY,
                "its compiled model does not tell what it holds (" ANEW ")");
}

static bool read_count(const struct image *image, const char *name, int32_t most, int32_t *count)
{
    const void *place = image_symbol(image, name, sizeof *count, PF_R);
    if (place == NULL) {
        return false;
    }
    memcpy(count, place, sizeof *count);
    return *count >= 0 && *count <= most;
}

static edgetvm_status read_blocks(struct program *program, const struct image *image,
                                  edgetvm_error *error)
{
    int32_t count = 0;
    if (!read_count(image, "edgetvm_blocks", MAX_BLOCKS, &count) || count < 1) {
        return fail_program(error);
    }
    program->blocks = (size_t)count;
    const char *place = image_symbol(image, "edgetvm_block_bytes",
                                     program->blocks * sizeof(int64_t), PF_R);
    if (place == NULL) {
        return fail_program(error);
    }
    program->block_bytes = calloc(program->blocks, sizeof *program->block_bytes);
    if (program->block_bytes == NULL) {
        return fail_memory(error, program->blocks * sizeof *program->block_bytes);
    }
    for (size_t i = 0; i < program->blocks; i++) {
        int64_t size = 0;
        memcpy(&size, place + i * sizeof size, sizeof size);
        if (size < 0) {
            return fail_program(error);
        }
        if ((uint64_t)size > SIZE_MAX / 4) {
            return fail(error, EDGETVM_NO_MEMORY,
                        "it needs more memory than this system can have (run it on a larger one)");
        }
        program->block_bytes[i] = (size_t)size;
    }
    return EDGETVM_OK;
}

/* The kernels' names, each ended by a line feed, as texts of their own. */
static edgetvm_status read_names(struct program *program, const struct image *image,
                                 edgetvm_error *error)
{
    const char *begin = image_symbol(image, "edgetvm_names", 1, PF_R);
    size_t room = begin != NULL ? image_bytes_after(image, begin) : 0;
    const char *end = room > 0 ? memchr(begin, '\0', room) : NULL;
    if (end == NULL || !read_count(image, "edgetvm_calls", MAX_KERNELS, &program->kernels)) {
        return fail_program(error);
    }
    size_t size = (size_t)(end - begin) + 1, count = (size_t)program->kernels;
    program->text = malloc(size);
    program->names = calloc(count + 1, sizeof *program->names);
    if (program->text == NULL || program->names == NULL) {
        return fail_memory(error, size);
    }
    memcpy(program->text, begin, size);
    char *name = program->text;
    for (size_t i = 0; i < count; i++) {
        char *feed = strchr(name, '\n');
        if (feed == NULL) {
            return fail_program(error);
        }
        *feed = '\0';
        program->names[i] = name;
        name = feed + 1;
    }
    return EDGETVM_OK;
}

edgetvm_status program_open(struct program *program, const struct image *image,
                            edgetvm_error *error)
{
    *program = (struct program){0};
    const void *run = image_symbol(image, "edgetvm_run", 1, PF_R | PF_X);
    if (run == NULL) {
        return fail_program(error);
    }
    memcpy(&program->run, &run, sizeof run);
    program->shares_work =
        image_symbol(image, "__TVMBackendParallelLaunch", sizeof(void *), PF_R | PF_W) != NULL;
    edgetvm_status status = read_blocks(program, image, error);
    return status == EDGETVM_OK ? read_names(program, image, error) : status;
}

void program_close(struct program *program)
{
    free(program->block_bytes);
    free(program->names);
    free(program->text);
    *program = (struct program){0};
}
