#define _GNU_SOURCE

#include "session_limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "files.h"

enum { TEXT_BYTES = 8192 };
/* Beside what a session allots: this program, its stacks. */
#define OWN_BYTES ((uint64_t)16 << 20)

uint64_t proc_bytes(const char *path, const char *field)
{
    char text[TEXT_BYTES];
    if (!file_read_text(path, text, sizeof text)) {
        return 0;
    }
    size_t length = strlen(field);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, field, length) == 0 && line[length] == ':') {
            return strtoull(line + length + 1, NULL, 10) * 1024;
        }
    }
    return 0;
}

/* Where memory runs out all the same, the system ends the session and not the server. */
static void be_the_first_to_go(void)
{
    static const char WORST[] = "1000";
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        (void)!write(file, WORST, sizeof WORST - 1);
        (void)close(file);
    }
}

size_t limits_set(uint32_t memory_mb)
{
    uint64_t most = memory_mb > 0 ? (uint64_t)memory_mb << 20
                                  : proc_bytes("/proc/meminfo", "MemAvailable");
    if (most == 0 || most > SIZE_MAX / 2) {
        most = SIZE_MAX / 2;
    }
    struct rlimit none = {0};
    (void)setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__) && !defined(BOARD_SANITIZED)
    struct rlimit memory = {.rlim_cur = (rlim_t)(most + OWN_BYTES),
                            .rlim_max = (rlim_t)(most + OWN_BYTES)};
    (void)setrlimit(RLIMIT_AS, &memory);
#endif
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    be_the_first_to_go();
    return (size_t)most;
}
