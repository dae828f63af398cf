#define _GNU_SOURCE

#include "stock_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arguments.h"
#include "files.h"

enum { PART_BYTES = 64 << 10, MAX_LIST_BYTES = 1 << 20 };
/* It gets its name when it is whole. */
#define UNFINISHED ".upload"

bool stock_answer_nothing(struct board *board)
{
    wire_answer_result(&board->wire, TYPE_NONE, 0);
    return true;
}

bool stock_take_name(struct board *board, char *name)
{
    return take_text(board, name, NAME_BYTES) &&
           (file_name_is_plain(name) ||
            refuse(board, "ValueError: %.80s is no name for a file here (one without folders)",
                   name[0] != '\0' ? name : "\"\""));
}

static bool write_all(int file, const uint8_t *data, size_t size_bytes)
{
    while (size_bytes > 0) {
        ssize_t put = write(file, data, size_bytes);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        data += put > 0 ? put : 0;
        size_bytes -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

static bool receive_file(struct board *board, int file, uint64_t size_bytes)
{
    uint8_t part[PART_BYTES];
    while (size_bytes > 0) {
        size_t size = size_bytes < sizeof part ? (size_t)size_bytes : sizeof part;
        wire_take(&board->wire, part, size);
        if (!all_came(board)) {
            return false;
        }
        if (!write_all(file, part, size)) {
            return refuse(board, "OSError: the board cannot keep the file: %s", strerror(errno));
        }
        size_bytes -= size;
    }
    return true;
}

bool stock_upload(struct board *board, int32_t count)
{
    char name[NAME_BYTES];
    uint64_t size = 0;
    if (!takes(board, count, 2) || !stock_take_name(board, name) || !take_blob(board, &size)) {
        return false;
    }
    int file = open(UNFINISHED, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) {
        return refuse(board, "OSError: the board cannot keep the file: %s", strerror(errno));
    }
    bool came = receive_file(board, file, size);
    bool kept = close(file) == 0 && came && rename(UNFINISHED, name) == 0;
    if (!kept) {
        int number = errno;
        (void)unlink(UNFINISHED);
        return came ? refuse(board, "OSError: the board cannot keep the file: %s", strerror(number))
                    : false;
    }
    return stock_answer_nothing(board);
}

static bool send_file(struct board *board, int file, uint64_t size_bytes)
{
    uint8_t part[PART_BYTES];
    wire_begin_blob(&board->wire, TYPE_BYTES, size_bytes);
    while (size_bytes > 0 && !board->wire.lost) {
        size_t size = size_bytes < sizeof part ? (size_t)size_bytes : sizeof part;
        ssize_t got = read(file, part, size);
        if (got <= 0) {
            /* Its length was told already. */
            board->wire.lost = true;
            return true;
        }
        wire_send_part(&board->wire, part, (size_t)got);
        size_bytes -= (uint64_t)got;
    }
    wire_end_parts(&board->wire);
    return true;
}

bool stock_download(struct board *board, int32_t count)
{
    char name[NAME_BYTES];
    struct stat facts;
    if (!takes(board, count, 1) || !stock_take_name(board, name)) {
        return false;
    }
    int file = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0 || fstat(file, &facts) != 0) {
        return refuse(board, "FileNotFoundError: the file %.80s cannot be read: %s", name,
                      strerror(errno));
    }
    bool done = S_ISREG(facts.st_mode) ? send_file(board, file, (uint64_t)facts.st_size)
                                       : refuse(board, "OSError: %.80s is no file", name);
    (void)close(file);
    return done;
}

/* Clients remove what may not be there, and "" too. */
bool stock_remove(struct board *board, int32_t count)
{
    char name[NAME_BYTES];
    if (!takes(board, count, 1) || !take_text(board, name, sizeof name)) {
        return false;
    }
    if (file_name_is_plain(name)) {
        (void)unlink(name);
    }
    return stock_answer_nothing(board);
}

bool stock_list(struct board *board, int32_t count)
{
    char name[NAME_BYTES];
    if (!takes(board, count, 1) || !take_text(board, name, sizeof name)) {
        return false;
    }
    char *names = malloc(MAX_LIST_BYTES);
    DIR *entries = names != NULL ? opendir(".") : NULL;
    size_t length = 0;
    const struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        size_t size = strlen(entry->d_name);
        if (file_name_is_plain(entry->d_name) && length + size + 1 < MAX_LIST_BYTES) {
            length += (size_t)sprintf(names + length, "%s%s", length > 0 ? "," : "",
                                      entry->d_name);
        }
    }
    if (entries == NULL) {
        free(names);
        return refuse(board, "OSError: the folder cannot be read: %s", strerror(errno));
    }
    (void)closedir(entries);
    wire_begin_blob(&board->wire, TYPE_TEXT, length);
    wire_send_part(&board->wire, names, length);
    wire_end_parts(&board->wire);
    free(names);
    return true;
}
