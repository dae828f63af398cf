#include "npy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "error.h"

enum { MAGIC_BYTES = 6, MAX_HEADER_BYTES = 4096, HEADER_SHOWN_BYTES = 120, ALIGNMENT = 64 };
static const char MAGIC[] = "\x93NUMPY";

/* numpy's words for types, in the order of edgetvm_dtype; what comes before the first letter is the
   order of bytes. */
static const char *const WORDS[] = {
    "|b1", "<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8",
};

static void skip_spaces(char **at)
{
    *at += strspn(*at, " \n");
}

static bool take(char **at, const char *wanted)
{
    skip_spaces(at);
    size_t length = strlen(wanted);
    if (strncmp(*at, wanted, length) != 0) {
        return false;
    }
    *at += length;
    return true;
}

/* A text in single quotes, ended where its closing quote was. */
static const char *take_text(char **at)
{
    if (!take(at, "'")) {
        return NULL;
    }
    char *text = *at;
    char *end = strchr(text, '\'');
    if (end == NULL) {
        return NULL;
    }
    *end = '\0';
    *at = end + 1;
    return text;
}

static bool take_shape(char **at, const edgetvm_tensor *tensor)
{
    bool fits = take(at, "(");
    for (uint32_t axis = 0; fits && axis < tensor->rank; axis++) {
        char digits[24];
        (void)snprintf(digits, sizeof digits, "%" PRId64, tensor->shape[axis]);
        fits = take(at, digits) && !(**at >= '0' && **at <= '9');
        /* A comma stands between two, and after one alone. */
        bool comma = take(at, ",");
        fits = fits && (comma || (axis + 1 == tensor->rank && tensor->rank > 1));
    }
    return fits && take(at, ")");
}

static bool take_type(char **at, const edgetvm_tensor *tensor)
{
    const char *word = take_text(at), *wanted = WORDS[tensor->dtype];
    /* One byte has no order, and '=' is that of the machine that wrote it. */
    bool order = word != NULL && (word[0] == wanted[0] || (wanted[0] == '|' && word[0] == '<'));
    return order && strcmp(word + 1, wanted + 1) == 0;
}

bool npy_header_fits(char *header, const edgetvm_tensor *tensor)
{
    char *at = header;
    bool type = false, order = false, shape = false;
    if (!take(&at, "{")) {
        return false;
    }
    while (!take(&at, "}")) {
        const char *key = take_text(&at);
        if (key == NULL || !take(&at, ":")) {
            return false;
        }
        bool fits = false;
        if (strcmp(key, "descr") == 0) {
            fits = type = take_type(&at, tensor);
        } else if (strcmp(key, "fortran_order") == 0) {
            fits = order = take(&at, "False");
        } else if (strcmp(key, "shape") == 0) {
            fits = shape = take_shape(&at, tensor);
        }
        if (!fits) {
            return false;
        }
        (void)take(&at, ",");
    }
    return type && order && shape;
}

/* The header's text; before it its length, in two bytes of version 1 and in four of later ones. */
static bool read_header(FILE *file, char header[MAX_HEADER_BYTES + 1])
{
    uint8_t begin[MAGIC_BYTES + 2 + 4] = {0};
    if (fread(begin, 1, MAGIC_BYTES + 2, file) != MAGIC_BYTES + 2 ||
        memcmp(begin, MAGIC, MAGIC_BYTES) != 0) {
        return false;
    }
    uint8_t *length = begin + MAGIC_BYTES + 2;
    size_t width = begin[MAGIC_BYTES] == 1 ? 2 : 4;
    if (fread(length, 1, width, file) != width || le32(length) > MAX_HEADER_BYTES) {
        return false;
    }
    size_t size = le32(length);
    header[size] = '\0';
    return fread(header, 1, size, file) == size;
}

/* The shape as numpy tells it, as far as there is room. */
static void tell_shape(const edgetvm_tensor *tensor, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t axis = 0; axis < tensor->rank && used < size; axis++) {
        const char *gap = axis > 0 ? ", " : "";
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, gap, tensor->shape[axis]);
    }
}

/* header: what the file says of itself, in numpy's own words. */
static edgetvm_status fail_header(edgetvm_error *error, const char *path, char *header,
                                  const edgetvm_tensor *tensor)
{
    char shape[60];
    tell_shape(tensor, shape, sizeof shape);
    /* Spaces fill numpy's headers up. */
    size_t length = strlen(header);
    while (length > 0 && header[length - 1] == ' ') {
        header[--length] = '\0';
    }
    return fail(error, EDGETVM_WRONG_SIZE,
                "%.60s has %.110s; input %.40s wants %s of shape [%s], row by row "
                "(numpy.ascontiguousarray makes it so)",
                path, header, tensor->name, edgetvm_dtype_name(tensor->dtype), shape);
}

static edgetvm_status read_array(FILE *file, const char *path, const edgetvm_tensor *tensor,
                                 void *data, edgetvm_error *error)
{
    char header[MAX_HEADER_BYTES + 1];
    if (!read_header(file, header)) {
        return fail(error, EDGETVM_BAD_ARGUMENT, "%.100s is no array of numpy (save it with "
                                                 "numpy.save)", path);
    }
    char described[HEADER_SHOWN_BYTES];
    (void)snprintf(described, sizeof described, "%.*s", (int)strcspn(header, "\n"), header);
    if (!npy_header_fits(header, tensor)) {
        return fail_header(error, path, described, tensor);
    }
    if (fread(data, 1, tensor->size_bytes, file) != tensor->size_bytes || fgetc(file) != EOF) {
        return fail(error, EDGETVM_WRONG_SIZE, "%.100s has not the bytes that its header tells "
                                               "(save it again)", path);
    }
    return EDGETVM_OK;
}

static edgetvm_status fail_file(edgetvm_error *error, const char *path, const char *what)
{
    return fail(error, EDGETVM_SYSTEM_ERROR, "%.100s cannot be %s: %s", path, what,
                strerror(errno));
}

edgetvm_status npy_read(const char *path, const edgetvm_tensor *tensor, void *data,
                        edgetvm_error *error)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return fail_file(error, path, "read");
    }
    edgetvm_status status = read_array(file, path, tensor, data, error);
    (void)fclose(file);
    return status;
}

/* numpy's own form: padded with spaces so that data begins at a multiple of 64 bytes. */
static size_t make_header(const edgetvm_tensor *tensor, char header[MAX_HEADER_BYTES])
{
    enum { PREFIX = MAGIC_BYTES + 4 };
    char *at = header + PREFIX, *end = header + MAX_HEADER_BYTES;
    at += snprintf(at, (size_t)(end - at), "{'descr': '%s', 'fortran_order': False, 'shape': (",
                   WORDS[tensor->dtype]);
    for (uint32_t axis = 0; axis < tensor->rank; axis++) {
        bool last = axis + 1 == tensor->rank;
        at += snprintf(at, (size_t)(end - at), "%" PRId64 "%s", tensor->shape[axis],
                       !last ? ", " : tensor->rank == 1 ? "," : "");
    }
    at += snprintf(at, (size_t)(end - at), "), }");
    size_t used = (size_t)(at - header) + 1;
    size_t size = (used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memset(at, ' ', size - used);
    header[size - 1] = '\n';
    size_t length = size - PREFIX;
    memcpy(header, MAGIC, MAGIC_BYTES);
    const char rest[] = {1, 0, (char)(length & 0xff), (char)(length >> 8)};
    memcpy(header + MAGIC_BYTES, rest, sizeof rest);
    return size;
}

edgetvm_status npy_write(const char *path, const edgetvm_tensor *tensor, const void *data,
                         edgetvm_error *error)
{
    char header[MAX_HEADER_BYTES];
    size_t header_bytes = make_header(tensor, header);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return fail_file(error, path, "written");
    }
    bool written = fwrite(header, 1, header_bytes, file) == header_bytes &&
                   fwrite(data, 1, tensor->size_bytes, file) == tensor->size_bytes;
    /* The last bytes may fail to reach the disk only now. */
    if (fclose(file) != 0 || !written) {
        edgetvm_status status = fail_file(error, path, "written");
        (void)remove(path);
        return status;
    }
    return EDGETVM_OK;
}
