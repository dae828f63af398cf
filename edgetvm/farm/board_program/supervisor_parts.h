/* What the parts of the supervisor share: its clients, and what it keeps of them. */
#ifndef BOARD_SUPERVISOR_PARTS_H
#define BOARD_SUPERVISOR_PARTS_H

#include <stdatomic.h>
#include <sys/types.h>

#include "tracker.h"

#define SECOND_NS ((uint64_t)1000000000)

enum { MAX_VISITORS = 16, PATH_BYTES = 4096 };

enum stage {
    NOBODY,
    COMING,  /* it has not said its key yet */
    WAITING, /* for the client before it */
    SERVED,
    LEAVING /* its client is gone, and its process about to end */
};

struct visitor {
    enum stage stage;
    pid_t pid;
    int socket, control;
    uint32_t key; /* which of the tracker's keys it was heard with */
    uint64_t order;
    uint64_t due_ns; /* its process is killed then */
    double timeout_s;
    bool expired;
    _Atomic uint32_t *state;
};

struct supervisor {
    const struct serve_options *options;
    int listener;
    int folder;
    char folder_path[PATH_BYTES]; /* to be removed at the end; "" where it is the user's */
    struct tracker tracker;
    struct match_key key; /* without a tracker */
    bool has_tracker;
    struct visitor visitors[MAX_VISITORS];
    uint64_t visits;
    long pid; /* of this process */
    bool died_before;
    int32_t exit_code_before;
};

/* Whether one more client can be heard; one that says nothing makes room for it. */
bool visitors_have_room(struct supervisor *all);
/* A process for a client that called. */
void visitor_receive(struct supervisor *all, uint64_t now_ns);
/* It came with the right key; what was the right one when it came. */
void visitor_hear(struct visitor *visitor);
/* Its client is gone: its process ends by itself, if it is not in the middle of a kernel. */
void visitor_see_off(struct visitor *visitor, uint64_t now_ns);
/* Its process ended: tell its client where that was too early, and clear up. */
void visitor_bury(struct supervisor *all, struct visitor *visitor, int status, uint64_t now_ns);

/* Of all: bury the dead, end those whose time is over, let in the one that waits longest. */
void visitors_bury_dead(struct supervisor *all, uint64_t now_ns);
void visitors_end_late(struct supervisor *all, uint64_t now_ns);
void visitors_let_next_in(struct supervisor *all, uint64_t now_ns);

#endif
