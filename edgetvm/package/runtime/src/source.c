#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64

#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static edgetvm_status fail_system(edgetvm_error *error)
{
    int number = errno;
    return fail(error, EDGETVM_SYSTEM_ERROR, "it cannot be read: %s", strerror(number));
}

edgetvm_status source_open(struct source *source, const char *path, edgetvm_error *error)
{
    *source = (struct source){.file = -1};
    /* Opening a pipe that nobody writes to must not wait. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        return fail_system(error);
    }
    struct stat facts;
    if (fstat(file, &facts) != 0) {
        edgetvm_status status = fail_system(error);
        (void)close(file);
        return status;
    }
    if (!S_ISREG(facts.st_mode)) {
        (void)close(file);
        return fail(error, EDGETVM_SYSTEM_ERROR, "it is no file (give the path of a package)");
    }
    *source = (struct source){.file = file, .size_bytes = (uint64_t)facts.st_size};
    return EDGETVM_OK;
}

struct source source_of_memory(const void *data, size_t size_bytes)
{
    return (struct source){.file = -1, .memory = data, .size_bytes = size_bytes};
}

static edgetvm_status read_file(int file, uint64_t offset, uint8_t *buffer, size_t size_bytes,
                                edgetvm_error *error)
{
    while (size_bytes > 0) {
        ssize_t got = pread(file, buffer, size_bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_system(error);
        }
        if (got == 0) {
            return fail(error, EDGETVM_ALTERED, "it was cut off while it was read (" AGAIN ")");
        }
        offset += (uint64_t)got;
        buffer += got;
        size_bytes -= (size_t)got;
    }
    return EDGETVM_OK;
}

edgetvm_status source_read(const struct source *source, uint64_t offset, void *buffer,
                           size_t size_bytes, edgetvm_error *error)
{
    if (offset > source->size_bytes || size_bytes > source->size_bytes - offset) {
        return fail(error, EDGETVM_NOT_A_PACKAGE, "it is cut off (" AGAIN ")");
    }
    if (source->file >= 0) {
        return read_file(source->file, offset, buffer, size_bytes, error);
    }
    if (size_bytes > 0) {
        memcpy(buffer, source->memory + offset, size_bytes);
    }
    return EDGETVM_OK;
}

void source_close(struct source *source)
{
    if (source->file >= 0) {
        (void)close(source->file);
    }
    source->file = -1;
}
