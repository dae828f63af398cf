#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "report.h"

static void put_text(const char *key, const char *text)
{
    printf("\"%s\": \"", key);
    for (; *text != '\0'; text++) {
        unsigned char letter = (unsigned char)*text;
        if (letter == '"' || letter == '\\') {
            printf("\\%c", letter);
        } else if (letter < 0x20) {
            printf("\\u%04x", (unsigned)letter);
        } else {
            putchar(letter);
        }
    }
    putchar('"');
}

/* JSON has no infinity and no NaN; edgetvm writes them as texts. */
static void put_value(double value)
{
    if (isfinite(value)) {
        printf("%.9g", value);
    } else {
        printf("\"%s\"", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    }
}

static void put_number(const char *key, double value)
{
    printf("\"%s\": ", key);
    put_value(value);
}

static void put_tensors(const char *key, const edgetvm_model *model, size_t count,
                        const edgetvm_tensor *(*tensor_at)(const edgetvm_model *, size_t))
{
    printf("\"%s\": [", key);
    for (size_t i = 0; i < count; i++) {
        const edgetvm_tensor *tensor = tensor_at(model, i);
        printf("%s{", i > 0 ? ", " : "");
        put_text("name", tensor->name);
        printf(", \"dtype\": \"%s\", \"shape\": [", edgetvm_dtype_name(tensor->dtype));
        for (uint32_t axis = 0; axis < tensor->rank; axis++) {
            printf("%s%" PRId64, axis > 0 ? ", " : "", tensor->shape[axis]);
        }
        printf("], \"state\": %s}", tensor->state ? "true" : "false");
    }
    printf("],\n");
}

/* The most memory that this process ever had; 0 where the system does not tell. */
static unsigned long peak_memory_kb(void)
{
    static const char KEY[] = "VmHWM:";
    unsigned long kb = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && kb == 0 && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, KEY, sizeof KEY - 1) == 0) {
            kb = strtoul(line + sizeof KEY - 1, NULL, 10);
        }
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    return kb;
}

static void put_runs(const struct session *session)
{
    const struct summary *summary = &session->summary;
    printf(",\n\"warmup\": %u", (unsigned)session->options.warmup);
    printf(",\n\"run_ns\": {\"min\": %" PRIu64 ", \"p50\": %" PRIu64 ", \"p90\": %" PRIu64
           ", \"p99\": %" PRIu64 ", \"max\": %" PRIu64 "},\n\"samples_ns\": [",
           summary->min_ns, summary->p50_ns, summary->p90_ns, summary->p99_ns, summary->max_ns);
    for (uint32_t i = 0; i < session->options.repeat; i++) {
        printf("%s%" PRIu64, i > 0 ? ", " : "", session->run_ns[i]);
    }
    printf("]");
}

static void put_answers(const struct session *session)
{
    size_t outputs = edgetvm_output_count(session->model);
    printf(",\n\"answers\": [");
    for (size_t i = 0; i < outputs; i++) {
        const edgetvm_tensor *tensor = edgetvm_output(session->model, i);
        const void *data = edgetvm_output_memory(session->model, i);
        size_t count = element_count(tensor);
        printf("%s{", i > 0 ? ",\n " : "");
        put_text("name", tensor->name);
        printf(", \"first\": [");
        for (size_t at = 0; at < count && at < SHOWN_VALUES; at++) {
            printf("%s", at > 0 ? ", " : "");
            put_value(element_at(tensor, data, at));
        }
        printf("]");
        if (count > 0) {
            size_t largest = largest_element(tensor, data);
            printf(", ");
            put_number("largest", element_at(tensor, data, largest));
            printf(", \"largest_at\": %zu", largest);
        }
        printf("}");
    }
    printf("]");
}

static void put_kernels(const struct session *session)
{
    size_t kernels = edgetvm_get_info(session->model)->kernels;
    printf(",\n\"kernels\": [");
    for (size_t i = 0; i < kernels; i++) {
        printf("%s{", i > 0 ? ",\n " : "");
        put_text("name", edgetvm_kernel_name(session->model, i));
        double mean_ns = double_of_unsigned(session->kernel_ns[i]) / session->options.repeat;
        printf(", \"mean_ns\": %.1f}", mean_ns);
    }
    printf("]");
}

static void put_elsewhere(const struct session *session)
{
    const struct manifest *manifest = &session->elsewhere.manifest;
    const struct target *targets = manifest->targets.items;
    printf("{");
    put_text("edgetvm_version", manifest->edgetvm_version);
    printf(",\n");
    put_text("name", manifest->name);
    printf(",\n");
    put_text("not_for_this_machine", session->error.text);
    printf(",\n\"targets\": [");
    for (size_t i = 0; i < manifest->targets.count; i++) {
        printf("%s{", i > 0 ? ", " : "");
        put_text("profile", targets[i].profile);
        printf(", ");
        put_text("architecture", targets[i].architecture);
        printf("}");
    }
    printf("]}\n");
}

void report_json(const struct session *session)
{
    if (session->is_elsewhere) {
        put_elsewhere(session);
        return;
    }
    const edgetvm_model *model = session->model;
    const edgetvm_info *info = edgetvm_get_info(model);
    printf("{");
    put_text("runtime_version", edgetvm_version());
    printf(",\n");
    put_text("edgetvm_version", info->edgetvm_version);
    printf(",\n");
    put_text("name", info->name);
    printf(",\n");
    put_text("target", info->target);
    printf(",\n");
    put_text("architecture", info->architecture);
    const char *checked = session->checked != NULL ? "\"checked\"" : "\"not checked\"";
    printf(",\n\"emulated\": %s,\n\"signed\": %s,\n", session->emulated ? "true" : "false",
           info->is_signed ? checked : "false");
    put_tensors("inputs", model, edgetvm_input_count(model), edgetvm_input);
    put_tensors("outputs", model, edgetvm_output_count(model), edgetvm_output);
    printf("\"threads\": %u,\n\"cores\": %u,\n\"arena_bytes\": %zu,\n\"library_bytes\": %zu,\n",
           (unsigned)info->threads, (unsigned)session->cores, info->arena_bytes, info->library_bytes);
    printf("\"peak_memory_kb\": %lu,\n\"open_ns\": %" PRIu64, peak_memory_kb(), session->open_ns);
    if (session->tested) {
        printf(",\n\"self_test\": {");
        put_number("max_abs_error", session->agreement.max_abs_error);
        printf(", ");
        put_number("max_relative_error", session->agreement.max_relative_error);
        printf(", ");
        put_number("tolerance", info->tolerance);
        printf(", ");
        put_text("reference", info->reference);
        printf("}");
    }
    if (session->run_ns != NULL) {
        put_runs(session);
        put_answers(session);
    }
    if (session->kernel_ns != NULL) {
        put_kernels(session);
    }
    printf("}\n");
}
