#define _POSIX_C_SOURCE 200809L

#include "session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "npy.h"
#include "trust.h"

/* The package that was appended to this program. */
#define SELF "/proc/self/exe"

enum { PATH_BYTES = 4096 };

/* Of a call that left its sentence in the model. */
static edgetvm_status told(struct session *session, edgetvm_status status)
{
    if (status != EDGETVM_OK) {
        (void)snprintf(session->error.text, sizeof session->error.text, "%s",
                       edgetvm_error_text(session->model));
    }
    return status;
}

static const char *path_of(const struct options *options)
{
    return options->package != NULL ? options->package : SELF;
}

static edgetvm_status open_model(struct session *session)
{
    const struct options *options = &session->options;
    edgetvm_config config = {.threads = options->threads, .target = options->target};
    uint64_t began_ns = now_ns();
    edgetvm_status status =
        session->checked != NULL
            ? edgetvm_open_memory(session->checked, session->checked_bytes, &config,
                                  &session->model, &session->error)
            : edgetvm_open(path_of(options), &config, &session->model, &session->error);
    session->open_ns = now_ns() - began_ns;
    session->cores = machine_cores();
    if (status == EDGETVM_OK) {
        session->emulated = edgetvm_get_info(session->model)->emulated || machine_is_emulated();
    }
    if (status == EDGETVM_NOT_A_PACKAGE && options->package == NULL) {
        return fail(&session->error, EDGETVM_BAD_ARGUMENT,
                    "there is no package in this program, or none that is whole (edgetvm-run PACKAGE; "
                    "a program that had one was stripped or cut off: copy it again)");
    }
    return status;
}

/* A member of the sample, into memory of its size. */
static edgetvm_status read_sample(struct session *session, const char *kind, size_t index,
                                  size_t size_bytes, void *data)
{
    char name[40];
    (void)snprintf(name, sizeof name, "sample/%s-%zu.bin", kind, index);
    return told(session, edgetvm_read_member(session->model, name, data, &size_bytes));
}

static edgetvm_status set_samples(struct session *session)
{
    edgetvm_status status = EDGETVM_OK;
    size_t count = edgetvm_input_count(session->model);
    for (size_t i = 0; status == EDGETVM_OK && i < count; i++) {
        status = read_sample(session, "input", i, edgetvm_input(session->model, i)->size_bytes,
                             edgetvm_input_memory(session->model, i));
    }
    return status;
}

static edgetvm_status compare_output(struct session *session, size_t index)
{
    const edgetvm_tensor *tensor = edgetvm_output(session->model, index);
    void *wanted = malloc(tensor->size_bytes + 1);
    double *scales = calloc(element_count(tensor) + 1, sizeof *scales);
    edgetvm_status status = wanted != NULL && scales != NULL
                                ? read_sample(session, "output", index, tensor->size_bytes, wanted)
                                : fail_memory(&session->error, tensor->size_bytes);
    if (status == EDGETVM_OK) {
        const void *found = edgetvm_output_memory(session->model, index);
        struct agreement agreement = agreement_of(tensor, found, wanted, scales);
        if (session->worst_output == NULL ||
            agreement.max_relative_error > session->agreement.max_relative_error) {
            session->agreement = agreement;
            session->worst_output = tensor->name;
        }
    }
    free(wanted);
    free(scales);
    return status;
}

const char *reference_of(const edgetvm_info *info)
{
    return info->reference[0] != '\0' ? info->reference : "the sample";
}

static edgetvm_status test(struct session *session)
{
    edgetvm_status status = told(session, edgetvm_verify(session->model));
    status = status == EDGETVM_OK ? set_samples(session) : status;
    if (status == EDGETVM_OK) {
        status = told(session, edgetvm_run(session->model));
    }
    size_t count = edgetvm_output_count(session->model);
    for (size_t i = 0; status == EDGETVM_OK && i < count; i++) {
        status = compare_output(session, i);
    }
    if (status != EDGETVM_OK) {
        return status;
    }
    session->tested = true;
    const edgetvm_info *info = edgetvm_get_info(session->model);
    if (!(session->agreement.max_relative_error <= info->tolerance)) {
        return fail(&session->error, EDGETVM_WRONG_ANSWER,
                    "output %.60s differs from %.60s by %.3g (%.2g of its largest value, %g "
                    "allowed)",
                    session->worst_output, reference_of(info), session->agreement.max_abs_error,
                    session->agreement.max_relative_error, info->tolerance);
    }
    return EDGETVM_OK;
}

/* Which input "NAME=FILE" or "FILE" means: names may hold any character. */
static edgetvm_status read_argument(struct session *session, const char *argument, size_t *index,
                                    const char **path)
{
    size_t count = edgetvm_input_count(session->model);
    for (size_t i = 0; i < count; i++) {
        const char *name = edgetvm_input(session->model, i)->name;
        size_t length = strlen(name);
        if (strncmp(argument, name, length) == 0 && argument[length] == '=') {
            *index = i;
            *path = argument + length + 1;
            return EDGETVM_OK;
        }
    }
    /* A path may hold '=', too. */
    if (count == 1 && strchr(argument, '=') != NULL && access(argument, F_OK) != 0) {
        return fail(&session->error, EDGETVM_NO_SUCH_TENSOR,
                    "--input %.80s: there is no such input, and no such file (the input is %.80s)",
                    argument, edgetvm_input(session->model, 0)->name);
    }
    if (count != 1) {
        return fail(&session->error, EDGETVM_NO_SUCH_TENSOR,
                    "--input %.80s names none of the %zu inputs (NAME=FILE.npy; --info tells "
                    "their names)",
                    argument, count);
    }
    *index = 0;
    *path = argument;
    return EDGETVM_OK;
}

static edgetvm_status set_inputs(struct session *session)
{
    edgetvm_status status = told(session, edgetvm_reset_state(session->model));
    status = status == EDGETVM_OK ? set_samples(session) : status;
    for (uint32_t i = 0; status == EDGETVM_OK && i < session->options.input_count; i++) {
        size_t index = 0;
        const char *path = NULL;
        status = read_argument(session, session->options.inputs[i], &index, &path);
        if (status == EDGETVM_OK) {
            status = npy_read(path, edgetvm_input(session->model, index),
                              edgetvm_input_memory(session->model, index), &session->error);
        }
    }
    return status;
}

static edgetvm_status run_once(struct session *session, uint64_t *kernel_ns, uint64_t *took_ns)
{
    size_t kernels = edgetvm_get_info(session->model)->kernels;
    uint64_t began_ns = now_ns();
    edgetvm_status status = kernel_ns != NULL
                                ? edgetvm_run_timed(session->model, kernel_ns, kernels)
                                : edgetvm_run(session->model);
    *took_ns = now_ns() - began_ns;
    for (size_t i = 0; kernel_ns != NULL && status == EDGETVM_OK && i < kernels; i++) {
        session->kernel_ns[i] += kernel_ns[i];
    }
    return told(session, status);
}

static edgetvm_status warm_up(struct session *session)
{
    uint32_t runs = session->options.warmup;
    edgetvm_status status = runs > 0 ? set_inputs(session) : EDGETVM_OK;
    uint64_t unasked_ns = 0;
    for (uint32_t i = 0; status == EDGETVM_OK && i < runs; i++) {
        status = run_once(session, NULL, &unasked_ns);
    }
    return status;
}

/* times: room for the kernels of one run and for a sorted copy of all runs. */
static edgetvm_status run_all(struct session *session, uint64_t *kernel_ns, uint64_t *sorted)
{
    const struct options *options = &session->options;
    /* After runs to warm up: a stream begins anew. */
    edgetvm_status status = set_inputs(session);
    for (uint32_t i = 0; status == EDGETVM_OK && i < options->repeat; i++) {
        status = run_once(session, kernel_ns, &session->run_ns[i]);
    }
    if (status == EDGETVM_OK) {
        session->summary = times_summary(session->run_ns, options->repeat, sorted);
    }
    return status;
}

static edgetvm_status run(struct session *session)
{
    size_t repeat = session->options.repeat;
    size_t kernels = edgetvm_get_info(session->model)->kernels + 1;
    uint64_t *kernel_ns = NULL, *sorted = calloc(repeat, sizeof *sorted);
    session->run_ns = calloc(repeat, sizeof *session->run_ns);
    bool enough = session->run_ns != NULL && sorted != NULL;
    if (session->options.profile) {
        session->kernel_ns = calloc(kernels, sizeof *session->kernel_ns);
        kernel_ns = calloc(kernels, sizeof *kernel_ns);
        enough = enough && session->kernel_ns != NULL && kernel_ns != NULL;
    }
    edgetvm_status status = enough ? warm_up(session) : fail_memory(&session->error, repeat);
    status = status == EDGETVM_OK ? run_all(session, kernel_ns, sorted) : status;
    free(kernel_ns);
    free(sorted);
    return status;
}

static edgetvm_status write_outputs(struct session *session)
{
    edgetvm_status status = EDGETVM_OK;
    size_t count = session->options.output != NULL ? edgetvm_output_count(session->model) : 0;
    if (count > 0) {
        /* Where it cannot be made, writing into it says why. */
        (void)mkdir(session->options.output, 0777);
    }
    for (size_t i = 0; status == EDGETVM_OK && i < count; i++) {
        char path[PATH_BYTES];
        int length = snprintf(path, sizeof path, "%s/output-%zu.npy", session->options.output, i);
        if (length < 0 || length >= PATH_BYTES) {
            return fail(&session->error, EDGETVM_BAD_ARGUMENT, "--output has too long a path");
        }
        status = npy_write(path, edgetvm_output(session->model, i),
                           edgetvm_output_memory(session->model, i), &session->error);
    }
    return status;
}

static bool is_for_others(edgetvm_status status)
{
    return status == EDGETVM_NEEDS_VM || status == EDGETVM_WRONG_ARCHITECTURE ||
           status == EDGETVM_MISSING_CPU_FEATURE;
}

/* Reads what can be told of a package that only another machine can run. */
static edgetvm_status open_elsewhere(struct session *session)
{
    const struct options *options = &session->options;
    struct source source = source_of_memory(session->checked, session->checked_bytes);
    edgetvm_status status = session->checked != NULL
                                ? EDGETVM_OK
                                : source_open(&source, path_of(options), &session->error);
    if (status == EDGETVM_OK) {
        status = package_open(&session->elsewhere, source, options->target, &session->error);
        session->is_elsewhere = is_for_others(status);
        if (!session->is_elsewhere) {
            package_close(&session->elsewhere);
        }
    }
    return session->is_elsewhere ? EDGETVM_OK : status;
}

edgetvm_status session_do(struct session *session)
{
    const struct options *options = &session->options;
    edgetvm_status status = EDGETVM_OK;
    if (options->key != NULL) {
        status = trust_read(path_of(options), options->key, &session->checked,
                            &session->checked_bytes, &session->error);
    }
    if (status != EDGETVM_OK) {
        return status;
    }
    status = open_model(session);
    if (session->options.info && !session->options.self_test && is_for_others(status)) {
        return open_elsewhere(session);
    }
    if (status == EDGETVM_OK && session->options.self_test) {
        status = test(session);
    }
    if (status == EDGETVM_OK && !session->options.info) {
        status = run(session);
        status = status == EDGETVM_OK ? write_outputs(session) : status;
    }
    return status;
}

void session_close(struct session *session)
{
    edgetvm_close(session->model);
    if (session->is_elsewhere) {
        package_close(&session->elsewhere);
    }
    free(session->checked);
    free(session->run_ns);
    free(session->kernel_ns);
}
