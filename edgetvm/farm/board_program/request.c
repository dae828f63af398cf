#define _GNU_SOURCE

#include "request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "dtypes.h"
#include "json.h"

enum { MAX_HEADER_BYTES = 4 << 20, MAX_THREADS = EDGETVM_MAX_THREADS };
enum { MAX_RUNS = 1 << 24, MAX_STREAMS = 1 << 20 };

#define MAX_PERIOD_NS ((int64_t)1000000000 * 3600)

#define AGAIN_MEND "send it again"

bool request_fail(struct request *request, const char *kind, const char *mend, const char *what,
                  ...)
{
    va_list arguments;
    va_start(arguments, what);
    (void)vsnprintf(request->what, sizeof request->what, what, arguments);
    va_end(arguments);
    (void)snprintf(request->mend, sizeof request->mend, "%s", mend);
    request->kind = kind;
    return false;
}

static const char *kind_of(edgetvm_status status)
{
    switch (status) {
    case EDGETVM_NO_MEMORY:
        return "BoardMemoryError";
    case EDGETVM_NO_SUCH_TENSOR:
    case EDGETVM_WRONG_SIZE:
    case EDGETVM_NOT_READY:
        return "InputError";
    case EDGETVM_NOT_A_PACKAGE:
    case EDGETVM_BAD_ARCHIVE:
    case EDGETVM_TOO_LARGE:
    case EDGETVM_BAD_MANIFEST:
    case EDGETVM_OTHER_FORMAT:
    case EDGETVM_ALTERED:
    case EDGETVM_NEEDS_VM:
    case EDGETVM_WRONG_ARCHITECTURE:
    case EDGETVM_MISSING_CPU_FEATURE:
    case EDGETVM_BAD_LIBRARY:
    case EDGETVM_MISSING_FUNCTION:
        return "PackageError";
    default:
        return "BoardError";
    }
}

/* Where the last parentheses of a sentence begin that ends with them; its end where it does not. */
static size_t mend_begin(const char *sentence)
{
    size_t length = strlen(sentence), depth = 0;
    for (size_t at = length; at-- > 1 && sentence[length - 1] == ')';) {
        depth += sentence[at] == ')';
        depth -= sentence[at] == '(';
        if (depth == 0) {
            return sentence[at - 1] == ' ' ? at : length;
        }
    }
    return length;
}

/* The runtime's sentences are "FILE: what (mend)"; the file is the client's own, and no news. */
bool request_fail_status(struct request *request, edgetvm_status status, const char *sentence)
{
    size_t file_bytes = request->file != NULL ? strlen(request->file) : 0;
    if (file_bytes > 0 && strncmp(sentence, request->file, file_bytes) == 0 &&
        strncmp(sentence + file_bytes, ": ", 2) == 0) {
        sentence += file_bytes + 2;
    }
    size_t length = strlen(sentence), mend = mend_begin(sentence);
    size_t what_bytes = mend < length ? mend - 1 : length;
    (void)request_fail(request, kind_of(status), "", "%.*s", (int)what_bytes, sentence);
    if (mend < length) {
        (void)snprintf(request->mend, sizeof request->mend, "%.*s", (int)(length - mend - 2),
                       sentence + mend + 1);
    }
    return false;
}

static bool size_array(struct array *array)
{
    array->size_bytes = edgetvm_dtype_bytes(array->dtype);
    for (uint32_t axis = 0; axis < array->rank; axis++) {
        uint64_t length = (uint64_t)array->shape[axis];
        if (length > SIZE_MAX ||
            !multiply_sizes(array->size_bytes, (size_t)length, &array->size_bytes)) {
            return false;
        }
    }
    return true;
}

static void read_shape(struct json *json, struct array *array)
{
    json_array(json);
    while (json_item(json)) {
        int64_t length = json_integer(json, 0, INT64_MAX);
        if (array->rank == MAX_ARRAY_RANK) {
            json_fail(json, "a tensor has too many axes");
            return;
        }
        array->shape[array->rank++] = length;
    }
}

static void read_array(struct json *json, struct array *array)
{
    const char *key, *dtype = NULL;
    bool shaped = false;
    json_object(json);
    while (json_key(json, &key)) {
        if (strcmp(key, "name") == 0) {
            array->name = json_string(json);
        } else if (strcmp(key, "dtype") == 0) {
            dtype = json_string(json);
        } else if (strcmp(key, "shape") == 0) {
            read_shape(json, array);
            shaped = true;
        } else {
            json_skip(json);
        }
    }
    if (array->name == NULL || !shaped || dtype == NULL || !dtype_of_name(dtype, &array->dtype) ||
        !size_array(array)) {
        json_fail(json, "a tensor without name, dtype or shape");
    }
}

static void read_arrays(struct json *json, struct request *request)
{
    json_array(json);
    while (json_item(json)) {
        struct array *array = list_add(&request->arrays, sizeof *array);
        if (array == NULL) {
            json_fail(json, "the board has too little memory");
            return;
        }
        read_array(json, array);
    }
}

static void read_header(struct json *json, struct request *request)
{
    const char *key;
    json_object(json);
    while (json_key(json, &key)) {
        if (strcmp(key, "file") == 0) {
            request->file = json_string(json);
        } else if (strcmp(key, "threads") == 0) {
            request->threads = json_null(json) ? 0 : json_integer(json, 0, MAX_THREADS);
        } else if (strcmp(key, "count") == 0) {
            request->count = json_integer(json, 0, INT64_MAX);
        } else if (strcmp(key, "runs") == 0) {
            request->runs = json_integer(json, 1, MAX_RUNS);
        } else if (strcmp(key, "paced") == 0) {
            request->paced = json_boolean(json);
        } else if (strcmp(key, "max_s") == 0) {
            request->max_s = json_number(json);
        } else if (strcmp(key, "period_ns") == 0) {
            request->period_ns = json_integer(json, 0, MAX_PERIOD_NS);
        } else if (strcmp(key, "streams") == 0) {
            request->streams = json_integer(json, 0, MAX_STREAMS);
        } else if (strcmp(key, "keep") == 0) {
            request->keep = json_integer(json, 0, INT32_MAX);
        } else if (strcmp(key, "skip") == 0) {
            request->skip = json_boolean(json);
        } else if (strcmp(key, "arrays") == 0) {
            read_arrays(json, request);
        } else {
            json_skip(json);
        }
    }
}

/* Arrays and payload must belong together. */
static void check_payload(struct request *request)
{
    const struct array *arrays = request->arrays.items;
    uint64_t size = 0;
    for (size_t i = 0; i < request->arrays.count; i++) {
        if (__builtin_add_overflow(size, (uint64_t)arrays[i].size_bytes, &size)) {
            size = UINT64_MAX;
            break;
        }
    }
    if (size != request->payload_bytes) {
        (void)request_fail(request, "PackageError", AGAIN_MEND,
                           "%llu bytes belong to tensors of %llu",
                           (unsigned long long)request->payload_bytes, (unsigned long long)size);
    }
}

bool request_read(struct board *board, struct request *request)
{
    uint64_t size = 0;
    *request = (struct request){0};
    if (!take_blob(board, &size)) {
        return false;
    }
    uint32_t length = (uint32_t)wire_i32(&board->wire);
    if (size < sizeof length || length > size - sizeof length || length > MAX_HEADER_BYTES) {
        return refuse(board, "ValueError: the message's header is longer than the message");
    }
    request->header = malloc((size_t)length + 1);
    if (request->header == NULL) {
        return refuse(board, "MemoryError: out of memory");
    }
    wire_take(&board->wire, request->header, length);
    request->payload_bytes = size - sizeof length - length;
    struct json json = json_begin(request->header, length);
    read_header(&json, request);
    if (!json_finish(&json)) {
        (void)request_fail(request, "PackageError", AGAIN_MEND, "the request cannot be read: %s",
                           json.failure);
    } else {
        check_payload(request);
    }
    return all_came(board);
}

void request_free(struct request *request)
{
    free(request->header);
    list_free(&request->arrays);
}

bool answer_begin(struct board *board, struct request *request, const struct text *header,
                  uint64_t payload_bytes)
{
    uint32_t length = (uint32_t)header->length;
    if (header->failed || header->length > UINT32_MAX) {
        return request_fail(request, "BoardMemoryError", "", "the board has too little memory");
    }
    wire_begin_blob(&board->wire, TYPE_BYTES, sizeof length + length + payload_bytes);
    wire_send_part(&board->wire, &length, sizeof length);
    wire_send_part(&board->wire, header->bytes, length);
    return true;
}
