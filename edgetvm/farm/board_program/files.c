#define _GNU_SOURCE

#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { MAX_NAME_BYTES = 200 };

bool file_name_is_plain(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= MAX_NAME_BYTES && name[0] != '.' && strchr(name, '/') == NULL;
}

bool file_read_text(const char *path, char *text, size_t room)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    size_t length = 0;
    ssize_t got = 1;
    while (got > 0 && length < room - 1) {
        got = read(file, text + length, room - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    (void)close(file);
    text[length] = '\0';
    return got >= 0;
}

/* Links are removed, not followed. */
static void empty_folder(int folder)
{
    DIR *entries = fdopendir(folder);
    if (entries == NULL) {
        (void)close(folder);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(entries)) != NULL) {
        const char *name = entry->d_name;
        bool itself = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
        if (!itself && unlinkat(folder, name, 0) != 0) {
            folder_remove(folder, name);
        }
    }
    (void)closedir(entries);
}

void folder_remove(int parent, const char *name)
{
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder >= 0) {
        empty_folder(folder);
    }
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}
