/* Files of a session: in a folder of its own, the current one. */
#ifndef BOARD_FILES_H
#define BOARD_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether a client may call a file so: no folder, nothing hidden. */
bool file_name_is_plain(const char *name);
/* Read a short file, such as those of /proc; the text ends with a NUL. False where it cannot be. */
bool file_read_text(const char *path, char *text, size_t room);
/* Remove a folder of a folder with all that is in it. */
void folder_remove(int parent, const char *name);

#endif
