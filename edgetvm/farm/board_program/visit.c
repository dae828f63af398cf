#define _GNU_SOURCE

#include "visit.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "board.h"
#include "handshake.h"
#include "log.h"
#include "session_limits.h"

/* The supervisor has no more files open than that. */
enum { MAX_FILES = 128 };

#define PREFIX "session-"

void visit_name(char name[VISIT_NAME_BYTES], long pid)
{
    (void)snprintf(name, VISIT_NAME_BYTES, PREFIX "%ld", pid);
}

long visit_pid(const char *name)
{
    size_t length = sizeof PREFIX - 1;
    return strncmp(name, PREFIX, length) == 0 ? strtol(name + length, NULL, 10) : 0;
}

/* Of the other sessions' connections none may stay open here. */
static void close_others(const struct visit *visit)
{
    for (int file = STDERR_FILENO + 1; file < MAX_FILES; file++) {
        if (file != visit->socket && file != visit->control && file != visit->folder) {
            (void)close(file);
        }
    }
}

/* Signals as they were before the supervisor took them. */
static void become_a_session(const struct visit *visit)
{
    sigset_t none;
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if ((long)getppid() != visit->supervisor) {
        _exit(0); /* it had ended before that */
    }
    (void)signal(SIGCHLD, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_options(int socket)
{
    int on = 1, idle_s = 60, interval_s = 15, count = 4;
    (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static bool enter_folder(const struct visit *visit)
{
    char name[VISIT_NAME_BYTES];
    visit_name(name, (long)getpid());
    if (fchdir(visit->folder) != 0 || mkdir(name, 0700) != 0 || chdir(name) != 0) {
        log_line("the session's folder cannot be made: %s", strerror(errno));
        return false;
    }
    return close(visit->folder) == 0;
}

/* Whether the supervisor lets the client in; it may have to wait for the one before. */
static bool is_let_in(const struct visit *visit, const struct arrival *arrival)
{
    char welcome = 0;
    return write(visit->control, arrival, sizeof *arrival) == (ssize_t)sizeof *arrival &&
           read(visit->control, &welcome, 1) == 1 && welcome != 0;
}

static void serve(const struct visit *visit)
{
    struct board *board = calloc(1, sizeof *board);
    if (board == NULL) {
        return;
    }
    board->wire.socket = visit->socket;
    board->wire.state = visit->state;
    board->died_before = visit->died_before;
    board->exit_code_before = visit->exit_code_before;
    board->most_data_bytes = limits_set(visit->options->memory_mb);
    (void)sched_getaffinity(0, sizeof board->cores, &board->cores);
    board_serve(board);
}

void visit_begin(const struct visit *visit)
{
    struct arrival arrival;
    become_a_session(visit);
    close_others(visit);
    set_options(visit->socket);
    if (!handshake_hear(visit->socket, &visit->key, &arrival)) {
        _exit(0);
    }
    bool welcome = is_let_in(visit, &arrival) && enter_folder(visit);
    handshake_answer(visit->socket, visit->options->key, welcome);
    if (welcome) {
        serve(visit);
    }
    _exit(0);
}
