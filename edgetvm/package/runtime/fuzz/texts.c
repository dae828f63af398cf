/* libFuzzer over the readers of texts: JSON that is skipped and JSON that is read, and the header
   of numpy's files. */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A text of its own, so that a step beyond its end is seen. */
static char *copied(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL) {
        abort();
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    return text;
}

static void read_value(struct json *json, int depth)
{
    const char *key;
    if (json_is_string(json)) {
        (void)json_string(json);
    } else if (depth % 3 == 0) {
        json_object(json);
        while (json_key(json, &key)) {
            read_value(json, depth + (int)strlen(key));
        }
    } else if (depth % 3 == 1) {
        json_array(json);
        while (json_item(json)) {
            (void)json_number(json);
        }
    } else if (!json_null(json)) {
        (void)json_integer(json, -5, INT64_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const edgetvm_tensor TENSOR = {
        .name = "x", .dtype = EDGETVM_FLOAT32, .rank = 2, .shape = {3, 4}, .size_bytes = 48};
    char *skipped = copied(data, size), *read = copied(data, size), *header = copied(data, size);
    struct json json = json_begin(skipped, size);
    json_skip(&json);
    (void)json_finish(&json);
    json = json_begin(read, size);
    read_value(&json, 0);
    (void)json_finish(&json);
    (void)npy_header_fits(header, &TENSOR);
    free(skipped);
    free(read);
    free(header);
    return 0;
}
