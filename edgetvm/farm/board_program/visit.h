/* The process of one session, from the client's first word to its last. */
#ifndef BOARD_VISIT_H
#define BOARD_VISIT_H

#include <stdatomic.h>

#include "match_key.h"

struct visit {
    const struct serve_options *options;
    long supervisor; /* its process */
    int socket;  /* the client's */
    int control; /* to the supervisor: an arrival goes there, one byte comes back */
    int folder;  /* for the sessions' folders */
    struct match_key key;
    _Atomic uint32_t *state;
    bool died_before;
    int32_t exit_code_before;
};

enum { VISIT_NAME_BYTES = 32 };
/* The name of a session's folder. */
void visit_name(char name[VISIT_NAME_BYTES], long pid);
/* Whose folder has that name; 0 where it is none's. */
long visit_pid(const char *name);
/* Never returns: the process ends with the session. */
_Noreturn void visit_begin(const struct visit *visit);

#endif
