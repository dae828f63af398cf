/*
 * Names the class that a model of one input and one output of float32 gives the highest score:
 *
 *     classify model.edgetvm input.bin
 *
 * where input.bin holds the input's elements, little-endian. Without it, the package's own sample
 * is taken. Built in a folder of its own by:
 *
 *     cc classify.c $(pkg-config --cflags --libs edgetvm)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <edgetvm.h>

/* Fill the input from a file, or from the sample. */
static edgetvm_status give_input(edgetvm_model *model, const char *path)
{
    size_t size = edgetvm_input(model, 0)->size_bytes;
    void *input = edgetvm_input_memory(model, 0);
    if (path == NULL) {
        return edgetvm_read_member(model, "sample/input-0.bin", input, &size);
    }
    FILE *file = fopen(path, "rb");
    size_t got = file != NULL ? fread(input, 1, size, file) : 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    if (got != size) {
        (void)fprintf(stderr, "%s has not the %zu bytes of the input\n", path, size);
        return EDGETVM_WRONG_SIZE;
    }
    return EDGETVM_OK;
}

static size_t best_of(const float *scores, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        best = scores[i] > scores[best] ? i : best;
    }
    return best;
}

/* The line of the labels that names a class; the text is the caller's to free. Null without. */
static char *label_of(edgetvm_model *model, size_t class)
{
    const char *member = edgetvm_get_info(model)->labels;
    size_t size = 0;
    if (member == NULL || edgetvm_read_member(model, member, NULL, &size) != EDGETVM_OK) {
        return NULL;
    }
    char *text = calloc(size + 1, 1);
    if (text == NULL || edgetvm_read_member(model, member, text, &size) != EDGETVM_OK) {
        free(text);
        return NULL;
    }
    char *line = text;
    for (; class > 0 && line != NULL; class--) {
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    size_t length = line != NULL ? strcspn(line, "\n") : 0;
    memmove(text, line != NULL ? line : text, length);
    text[length] = '\0';
    return text;
}

int main(int count, char **arguments)
{
    edgetvm_error error;
    edgetvm_model *model = NULL;
    if (count < 2) {
        (void)fprintf(stderr, "classify model.edgetvm [input.bin]\n");
        return EDGETVM_BAD_ARGUMENT;
    }
    edgetvm_status status = edgetvm_open(arguments[1], NULL, &model, &error);
    if (status != EDGETVM_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        return (int)status;
    }
    status = give_input(model, count > 2 ? arguments[2] : NULL);
    status = status == EDGETVM_OK ? edgetvm_run(model) : status;
    const edgetvm_tensor *output = edgetvm_output(model, 0);
    if (status == EDGETVM_OK && output->dtype == EDGETVM_FLOAT32) {
        const float *scores = edgetvm_output_memory(model, 0);
        size_t best = best_of(scores, output->size_bytes / sizeof *scores);
        char *label = label_of(model, best);
        printf("%zu %s %g\n", best, label != NULL ? label : "", (double)scores[best]);
        free(label);
    } else if (status != EDGETVM_OK) {
        (void)fprintf(stderr, "%s\n", edgetvm_error_text(model));
    }
    edgetvm_close(model);
    return (int)status;
}
