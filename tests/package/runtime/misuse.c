/* The C API given all that it must refuse. */
#define _GNU_SOURCE 1

#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "edgetvm.h"

enum { MOST_BYTES = 1 << 20 };

/* Each call that fails leaves one sentence of one line. */
static int told(const char *text)
{
    return text[0] != '\0' && strlen(text) < EDGETVM_ERROR_BYTES && strchr(text, '\n') == NULL;
}

static edgetvm_model *opened(const char *path, const edgetvm_config *config)
{
    edgetvm_model *model = NULL;
    edgetvm_error error;
    edgetvm_status status = edgetvm_open(path, config, &model, &error);
    if (status != EDGETVM_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    CHECK(error.text[0] == '\0');
    return model;
}

static void null_pointers(const char *path)
{
    edgetvm_model *model = (edgetvm_model *)1;
    edgetvm_error error;
    size_t size = 0;
    uint8_t byte = 0;
    CHECK(edgetvm_open(NULL, NULL, &model, &error) == EDGETVM_BAD_ARGUMENT && told(error.text));
    CHECK(model == NULL);
    CHECK(edgetvm_open(path, NULL, NULL, &error) == EDGETVM_BAD_ARGUMENT && told(error.text));
    CHECK(edgetvm_open(NULL, NULL, NULL, NULL) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_open_memory(NULL, 1, NULL, &model, NULL) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_open_memory(&byte, 0, NULL, &model, &error) == EDGETVM_NOT_A_PACKAGE);
    edgetvm_close(NULL);
    CHECK(edgetvm_run(NULL) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_run_timed(NULL, NULL, 0) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_set_input(NULL, "x", &byte, 1) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_set_input_at(NULL, 0, &byte, 1) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_get_output(NULL, "x", &byte, 1) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_get_output_at(NULL, 0, &byte, 1) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_find_input(NULL, "x", &size) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_find_output(NULL, "x", &size) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_bind_input(NULL, 0, NULL, 0) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_bind_output(NULL, 0, NULL, 0) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_reset_state(NULL) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_set_arena(NULL, NULL, 0) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_arena_bytes(NULL, &size) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_read_member(NULL, "labels.txt", NULL, &size) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_verify(NULL) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_input_count(NULL) == 0 && edgetvm_output_count(NULL) == 0);
    CHECK(edgetvm_input(NULL, 0) == NULL && edgetvm_output(NULL, 0) == NULL);
    CHECK(edgetvm_input_memory(NULL, 0) == NULL && edgetvm_output_memory(NULL, 0) == NULL);
    CHECK(edgetvm_get_info(NULL) == NULL && edgetvm_kernel_name(NULL, 0) == NULL);
    CHECK(told(edgetvm_error_text(NULL)));
}

static void files(const char *path)
{
    edgetvm_model *model = NULL;
    edgetvm_error error;
    CHECK(edgetvm_open("/nowhere", NULL, &model, &error) == EDGETVM_SYSTEM_ERROR);
    CHECK(told(error.text) && model == NULL);
    CHECK(edgetvm_open("/", NULL, &model, &error) == EDGETVM_SYSTEM_ERROR && told(error.text));
    CHECK(edgetvm_open("/dev/zero", NULL, &model, NULL) == EDGETVM_SYSTEM_ERROR);
    char long_path[5000];
    memset(long_path, 'x', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    CHECK(edgetvm_open(long_path, NULL, &model, &error) == EDGETVM_SYSTEM_ERROR);
    CHECK(told(error.text) && strstr(error.text, "too long") != NULL);
    edgetvm_config config = {.threads = EDGETVM_MAX_THREADS + 1};
    CHECK(edgetvm_open(path, &config, &model, &error) == EDGETVM_BAD_ARGUMENT && told(error.text));
    config = (edgetvm_config){.reserved = {0, 0, 0, 1}};
    CHECK(edgetvm_open(path, &config, &model, &error) == EDGETVM_BAD_ARGUMENT && told(error.text));
    config = (edgetvm_config){.target = "moon"};
    CHECK(edgetvm_open(path, &config, &model, &error) == EDGETVM_WRONG_ARCHITECTURE);
    CHECK(told(error.text) && model == NULL);
}

static void numbers(void)
{
    for (int number = -3; number < 30; number++) {
        CHECK(told(edgetvm_status_name((edgetvm_status)number)));
        CHECK(told(edgetvm_dtype_name((edgetvm_dtype)number)));
        CHECK(edgetvm_dtype_bytes((edgetvm_dtype)number) <= 8);
    }
    CHECK(strcmp(edgetvm_dtype_name(EDGETVM_UINT64), "uint64") == 0);
    CHECK(edgetvm_dtype_bytes(EDGETVM_UINT64) == 8);
    CHECK(strcmp(edgetvm_status_name(EDGETVM_WRONG_ANSWER), "wrong_answer") == 0);
    CHECK(told(edgetvm_version()) && told(edgetvm_architecture()));
}

static void tensors(const char *path)
{
    static uint8_t data[MOST_BYTES];
    edgetvm_model *model = opened(path, NULL);
    size_t inputs = edgetvm_input_count(model), outputs = edgetvm_output_count(model), index = 9;
    const edgetvm_tensor *input = edgetvm_input(model, 0), *output = edgetvm_output(model, 0);
    CHECK(edgetvm_input(model, inputs) == NULL && edgetvm_output(model, outputs) == NULL);
    CHECK(edgetvm_input_memory(model, inputs) == NULL);
    CHECK(edgetvm_output_memory(model, outputs) == NULL);
    CHECK(edgetvm_run(model) == EDGETVM_NOT_READY && told(edgetvm_error_text(model)));
    CHECK(edgetvm_get_output_at(model, 0, data, output->size_bytes) == EDGETVM_NOT_READY);
    CHECK(edgetvm_output_memory(model, 0) == NULL);
    CHECK(edgetvm_set_input(model, "nobody", data, 1) == EDGETVM_NO_SUCH_TENSOR);
    CHECK(told(edgetvm_error_text(model)));
    CHECK(edgetvm_set_input(model, NULL, data, 1) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_set_input_at(model, inputs, data, 1) == EDGETVM_NO_SUCH_TENSOR);
    CHECK(edgetvm_set_input_at(model, SIZE_MAX, data, 1) == EDGETVM_NO_SUCH_TENSOR);
    CHECK(edgetvm_set_input_at(model, 0, NULL, input->size_bytes) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_set_input_at(model, 0, data, input->size_bytes - 1) == EDGETVM_WRONG_SIZE);
    CHECK(edgetvm_set_input_at(model, 0, data, SIZE_MAX) == EDGETVM_WRONG_SIZE);
    CHECK(edgetvm_find_input(model, input->name, NULL) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_find_input(model, input->name, &index) == EDGETVM_OK && index == 0);
    CHECK(edgetvm_find_output(model, output->name, &index) == EDGETVM_OK && index == 0);
    CHECK(edgetvm_find_output(model, "", &index) == EDGETVM_NO_SUCH_TENSOR);
    for (size_t i = 0; i < inputs; i++) {
        CHECK(edgetvm_set_input_at(model, i, data, edgetvm_input(model, i)->size_bytes) ==
              EDGETVM_OK);
    }
    CHECK(edgetvm_run(model) == EDGETVM_OK);
    CHECK(edgetvm_get_output_at(model, 0, data, output->size_bytes + 1) == EDGETVM_WRONG_SIZE);
    CHECK(edgetvm_get_output_at(model, 0, NULL, output->size_bytes) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_get_output_at(model, outputs, data, 1) == EDGETVM_NO_SUCH_TENSOR);
    CHECK(edgetvm_get_output(model, "nobody", data, 1) == EDGETVM_NO_SUCH_TENSOR);
    CHECK(edgetvm_get_output(model, output->name, data, output->size_bytes) == EDGETVM_OK);
    CHECK(edgetvm_output_memory(model, 0) != NULL);
    size_t kernels = edgetvm_get_info(model)->kernels;
    uint64_t times_ns[64];
    CHECK(edgetvm_run_timed(model, times_ns, kernels + 1) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_run_timed(model, NULL, kernels) == EDGETVM_BAD_ARGUMENT);
    CHECK(kernels <= 64 && edgetvm_run_timed(model, times_ns, kernels) == EDGETVM_OK);
    CHECK(edgetvm_kernel_name(model, kernels) == NULL && told(edgetvm_kernel_name(model, 0)));
    edgetvm_close(model);
}

static void members(const char *path)
{
    static uint8_t data[MOST_BYTES];
    edgetvm_model *model = opened(path, NULL);
    size_t size = 0, wanted = edgetvm_input(model, 0)->size_bytes;
    const char *sample = "sample/input-0.bin";
    CHECK(edgetvm_read_member(model, sample, NULL, &size) == EDGETVM_OK && size == wanted);
    CHECK(edgetvm_read_member(model, sample, data, &size) == EDGETVM_OK);
    CHECK(edgetvm_verify(model) == EDGETVM_OK);
    size--;
    CHECK(edgetvm_read_member(model, sample, data, &size) == EDGETVM_WRONG_SIZE);
    CHECK(edgetvm_read_member(model, sample, data, NULL) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_read_member(model, NULL, data, &size) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_read_member(model, "../etc", data, &size) == EDGETVM_NO_SUCH_TENSOR);
    CHECK(edgetvm_read_member(model, "manifest.json", data, &size) == EDGETVM_NO_SUCH_TENSOR);
    edgetvm_close(model);
}

static void arenas(const char *path)
{
    edgetvm_config config = {.late_arena = true};
    edgetvm_model *model = opened(path, &config);
    size_t size = 0, input_bytes = edgetvm_input(model, 0)->size_bytes;
    CHECK(edgetvm_arena_bytes(model, NULL) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_arena_bytes(model, &size) == EDGETVM_OK && size > 0);
    uint8_t *memory = aligned_alloc(EDGETVM_ALIGNMENT, size + EDGETVM_ALIGNMENT);
    CHECK(edgetvm_run(model) == EDGETVM_NOT_READY && told(edgetvm_error_text(model)));
    CHECK(edgetvm_input_memory(model, 0) == NULL);
    CHECK(edgetvm_set_input_at(model, 0, memory, input_bytes) == EDGETVM_NOT_READY);
    CHECK(edgetvm_bind_input(model, 0, memory, input_bytes) == EDGETVM_NOT_READY);
    CHECK(edgetvm_reset_state(model) == EDGETVM_NOT_READY);
    CHECK(edgetvm_set_arena(model, NULL, size) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_set_arena(model, memory + 1, size) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_set_arena(model, memory, size - 1) == EDGETVM_WRONG_SIZE);
    CHECK(told(edgetvm_error_text(model)));
    CHECK(edgetvm_set_arena(model, memory, size) == EDGETVM_OK);
    uint8_t *input = edgetvm_input_memory(model, 0);
    CHECK(input >= memory && input + input_bytes <= memory + size);
    memset(input, 0, input_bytes);
    CHECK(edgetvm_run(model) == EDGETVM_OK);
    const uint8_t *output = edgetvm_output_memory(model, 0);
    CHECK(output >= memory && output < memory + size);
    /* Another arena begins anew. */
    CHECK(edgetvm_set_arena(model, memory, size) == EDGETVM_OK);
    CHECK(edgetvm_run(model) == EDGETVM_NOT_READY);
    edgetvm_close(model);
    config = (edgetvm_config){.arena = memory, .arena_bytes = size - 1};
    edgetvm_error error;
    CHECK(edgetvm_open(path, &config, &model, &error) == EDGETVM_WRONG_SIZE && told(error.text));
    config.arena_bytes = size;
    edgetvm_close(opened(path, &config));
    free(memory);
}

static void bound_memory(const char *path)
{
    edgetvm_model *model = opened(path, NULL);
    const edgetvm_tensor *input = edgetvm_input(model, 0), *output = edgetvm_output(model, 0);
    size_t in_bytes = input->size_bytes, out_bytes = output->size_bytes;
    uint8_t *in = aligned_alloc(EDGETVM_ALIGNMENT, (in_bytes + 64) / 64 * 64 + 64);
    uint8_t *out = aligned_alloc(EDGETVM_ALIGNMENT, (out_bytes + 64) / 64 * 64 + 64);
    uint8_t *plain = malloc(out_bytes);
    size_t size = in_bytes;
    CHECK(edgetvm_read_member(model, "sample/input-0.bin", in, &size) == EDGETVM_OK);
    CHECK(edgetvm_set_input_at(model, 0, in, in_bytes) == EDGETVM_OK);
    CHECK(edgetvm_run(model) == EDGETVM_OK);
    CHECK(edgetvm_get_output_at(model, 0, plain, out_bytes) == EDGETVM_OK);
    CHECK(edgetvm_bind_input(model, 0, in + 4, in_bytes) == EDGETVM_BAD_ARGUMENT);
    CHECK(edgetvm_bind_input(model, 0, in, in_bytes + 1) == EDGETVM_WRONG_SIZE);
    CHECK(edgetvm_bind_input(model, 7, in, in_bytes) == EDGETVM_NO_SUCH_TENSOR);
    CHECK(edgetvm_bind_output(model, 7, out, out_bytes) == EDGETVM_NO_SUCH_TENSOR);
    CHECK(edgetvm_bind_input(model, 0, in, in_bytes) == EDGETVM_OK);
    CHECK(edgetvm_bind_output(model, 0, out, out_bytes) == EDGETVM_OK);
    CHECK(edgetvm_output_memory(model, 0) == NULL);
    memset(out, 0xff, out_bytes);
    CHECK(edgetvm_run(model) == EDGETVM_OK);
    CHECK(edgetvm_output_memory(model, 0) == out && memcmp(out, plain, out_bytes) == 0);
    CHECK(edgetvm_bind_input(model, 0, NULL, in_bytes) == EDGETVM_OK);
    CHECK(edgetvm_run(model) == EDGETVM_NOT_READY);
    edgetvm_close(model);
    free(in);
    free(out);
    free(plain);
}

/* All of a package in memory is a package, and no part of it is. */
static void parts(const char *path)
{
    static uint8_t data[MOST_BYTES];
    FILE *file = fopen(path, "rb");
    size_t size = file != NULL ? fread(data, 1, sizeof data, file) : 0;
    CHECK(file != NULL && fclose(file) == 0 && size > 0 && size < sizeof data);
    edgetvm_model *model = NULL;
    edgetvm_error error;
    for (size_t part = 0; part < size; part += 1 + size / 500) {
        CHECK(edgetvm_open_memory(data, part, NULL, &model, &error) == EDGETVM_NOT_A_PACKAGE);
        CHECK(model == NULL && told(error.text));
    }
    CHECK(edgetvm_open_memory(data, size, NULL, &model, NULL) == EDGETVM_OK);
    memset(edgetvm_input_memory(model, 0), 0, edgetvm_input(model, 0)->size_bytes);
    CHECK(edgetvm_run(model) == EDGETVM_OK);
    edgetvm_close(model);
}

/* `total` = `sum` + `chunk`; a run's `total` is the next run's `sum`. */
static void streams(const char *path)
{
    edgetvm_model *model = opened(path, NULL);
    size_t sum = 9, total = 9, chunk = 9;
    CHECK(edgetvm_find_input(model, "sum", &sum) == EDGETVM_OK);
    CHECK(edgetvm_find_input(model, "chunk", &chunk) == EDGETVM_OK);
    CHECK(edgetvm_find_output(model, "total", &total) == EDGETVM_OK);
    CHECK(edgetvm_input(model, sum)->state && edgetvm_output(model, total)->state);
    CHECK(!edgetvm_input(model, chunk)->state);
    float one[4] = {1, 2, 3, 4}, found[4] = {0}, ten[4] = {10, 10, 10, 10};
    CHECK(edgetvm_run(model) == EDGETVM_NOT_READY);
    CHECK(edgetvm_set_input(model, "chunk", one, sizeof one) == EDGETVM_OK);
    for (int run = 1; run <= 3; run++) {
        CHECK(edgetvm_run(model) == EDGETVM_OK);
        CHECK(edgetvm_get_output(model, "total", found, sizeof found) == EDGETVM_OK);
        CHECK(found[1] == 2.0f * (float)run);
    }
    /* What is set by hand between two runs counts. */
    CHECK(edgetvm_set_input(model, "sum", ten, sizeof ten) == EDGETVM_OK);
    CHECK(edgetvm_run(model) == EDGETVM_OK);
    CHECK(edgetvm_get_output_at(model, total, found, sizeof found) == EDGETVM_OK);
    CHECK(found[3] == 14.0f);
    CHECK(edgetvm_reset_state(model) == EDGETVM_OK);
    CHECK(edgetvm_run(model) == EDGETVM_OK);
    CHECK(edgetvm_get_output_at(model, total, found, sizeof found) == EDGETVM_OK);
    CHECK(found[2] == 3.0f);
    CHECK(edgetvm_bind_input(model, sum, NULL, sizeof one) == EDGETVM_BAD_ARGUMENT);
    CHECK(told(edgetvm_error_text(model)));
    edgetvm_close(model);
}

/* States are carried when a run ends: what the caller then does with its own memory is its own. */
static void bound_states(const char *path)
{
    edgetvm_model *model = opened(path, NULL);
    size_t total = 9;
    float one[4] = {1, 2, 3, 4}, found[4] = {0};
    float *mine = aligned_alloc(EDGETVM_ALIGNMENT, EDGETVM_ALIGNMENT);
    CHECK(edgetvm_find_output(model, "total", &total) == EDGETVM_OK);
    CHECK(edgetvm_set_input(model, "chunk", one, sizeof one) == EDGETVM_OK);
    CHECK(edgetvm_bind_output(model, total, mine, sizeof one) == EDGETVM_OK);
    CHECK(edgetvm_run(model) == EDGETVM_OK && mine[2] == 3.0f);
    mine[2] = 100;
    CHECK(edgetvm_run(model) == EDGETVM_OK && mine[2] == 6.0f);
    free(mine);
    CHECK(edgetvm_bind_output(model, total, NULL, sizeof one) == EDGETVM_OK);
    CHECK(edgetvm_run(model) == EDGETVM_OK);
    CHECK(edgetvm_get_output_at(model, total, found, sizeof found) == EDGETVM_OK);
    CHECK(found[2] == 9.0f);
    edgetvm_close(model);
}

void check_misuse(const char *path, const char *stream)
{
    null_pointers(path);
    files(path);
    numbers();
    tensors(path);
    members(path);
    parts(path);
    arenas(path);
    bound_memory(path);
    streams(stream);
    bound_states(stream);
}
