#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "error.h"
#include "report.h"

/* With names that a package holds: a terminal would obey what may be in them. */
__attribute__((format(printf, 1, 2))) static void print_names(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    make_printable(text);
    (void)fputs(text, stdout);
}

static void print_tensor(const char *kind, const edgetvm_tensor *tensor)
{
    print_names("%s %.200s: %s[", kind, tensor->name, edgetvm_dtype_name(tensor->dtype));
    for (uint32_t axis = 0; axis < tensor->rank; axis++) {
        printf("%s%" PRId64, axis > 0 ? ", " : "", tensor->shape[axis]);
    }
    printf("]");
    if (tensor->quantised) {
        int64_t zero_point = tensor->zero_point;
        printf(", %g * (q %c %" PRId64 ")", tensor->scale, zero_point < 0 ? '+' : '-',
               zero_point < 0 ? -zero_point : zero_point);
    }
    printf("%s\n", tensor->state ? ", state" : "");
}

static void print_tensors(const char *kind, const struct list *tensors)
{
    const edgetvm_tensor *all = tensors->items;
    for (size_t i = 0; i < tensors->count; i++) {
        print_tensor(kind, &all[i]);
    }
}

static void print_elsewhere(const struct session *session)
{
    const struct manifest *manifest = &session->elsewhere.manifest;
    const struct target *targets = manifest->targets.items;
    printf("%s, by edgetvm %s\nnot for this machine: %s\n", manifest->name,
           manifest->edgetvm_version, session->error.text);
    for (size_t i = 0; i < manifest->targets.count; i++) {
        printf("for %s (%s)\n", targets[i].profile, targets[i].architecture);
    }
    print_tensors("input ", &manifest->signature.inputs);
    print_tensors("output", &manifest->signature.outputs);
}

static const char *signed_as(const struct session *session)
{
    if (!edgetvm_get_info(session->model)->is_signed) {
        return "";
    }
    return session->checked != NULL ? ", signed by the key" : ", signed: not checked";
}

static void print_info(const struct session *session)
{
    const edgetvm_info *info = edgetvm_get_info(session->model);
    print_names("%.200s for %.200s (%.40s), by edgetvm %.40s%s", info->name, info->target,
                info->architecture, info->edgetvm_version,
                signed_as(session));
    printf("\n");
    if (!session->options.info) {
        return;
    }
    for (size_t i = 0; i < edgetvm_input_count(session->model); i++) {
        print_tensor("input ", edgetvm_input(session->model, i));
    }
    for (size_t i = 0; i < edgetvm_output_count(session->model); i++) {
        print_tensor("output", edgetvm_output(session->model, i));
    }
    printf("%zu kernel calls, arena %zu bytes, code and parameters %zu bytes\n", info->kernels,
           info->arena_bytes, info->library_bytes);
}

static void print_kernels(const struct session *session)
{
    const edgetvm_info *info = edgetvm_get_info(session->model);
    uint64_t all_ns = 0;
    for (size_t i = 0; i < info->kernels; i++) {
        all_ns += session->kernel_ns[i];
    }
    for (size_t i = 0; i < info->kernels; i++) {
        double took_ms = ms_of_ns(session->kernel_ns[i]);
        double share = all_ns > 0 ? 100 * took_ms / ms_of_ns(all_ns) : 0;
        print_names("%9.4f ms %5.1f%%  %.200s", took_ms / session->options.repeat, share,
                    edgetvm_kernel_name(session->model, i));
        printf("\n");
    }
}

/* The first values of each output, and where the largest lies. */
static void print_answers(const struct session *session)
{
    for (size_t i = 0; i < edgetvm_output_count(session->model); i++) {
        const edgetvm_tensor *tensor = edgetvm_output(session->model, i);
        const void *data = edgetvm_output_memory(session->model, i);
        size_t count = element_count(tensor);
        printf("%s:", tensor->name);
        for (size_t at = 0; at < count && at < SHOWN_VALUES; at++) {
            printf(" %.6g", element_at(tensor, data, at));
        }
        printf("%s", count > SHOWN_VALUES ? " ..." : "");
        if (count > 1) {
            size_t largest = largest_element(tensor, data);
            printf("  largest %.6g at %zu of %zu", element_at(tensor, data, largest), largest,
                   count);
        }
        printf("\n");
    }
}

void report_text(const struct session *session)
{
    if (session->is_elsewhere) {
        print_elsewhere(session);
        return;
    }
    const edgetvm_info *info = edgetvm_get_info(session->model);
    print_info(session);
    if (session->tested) {
        print_names("self-test passed: %.2g from %.200s, %g allowed",
                    session->agreement.max_relative_error, reference_of(info), info->tolerance);
        printf("\n");
    }
    if (session->run_ns == NULL) {
        return;
    }
    if (session->kernel_ns != NULL) {
        print_kernels(session);
    }
    print_answers(session);
    const struct summary *summary = &session->summary;
    printf("opened in %.3f ms; %u run%s on %u thread%s%s\n", ms_of_ns(session->open_ns),
           (unsigned)session->options.repeat, session->options.repeat > 1 ? "s" : "",
           (unsigned)info->threads, info->threads > 1 ? "s" : "",
           session->emulated ? ", emulated: times mean nothing" : "");
    if (session->cores > 0 && info->threads > session->cores) {
        printf("these are more threads than the %u core%s, which takes time: leave --threads out\n",
               (unsigned)session->cores, session->cores > 1 ? "s" : "");
    }
    if (session->options.repeat == 1) {
        printf("the run took %.4f ms (--repeat 50 measures)\n",
               ms_of_ns(summary->p50_ns));
        return;
    }
    printf("p50 %.4f ms  p90 %.4f ms  p99 %.4f ms  min %.4f ms\n", ms_of_ns(summary->p50_ns),
           ms_of_ns(summary->p90_ns), ms_of_ns(summary->p99_ns), ms_of_ns(summary->min_ns));
}
