/* The processes of clients: from the call of one until nothing is left of it. */
#define _GNU_SOURCE

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "handshake.h"
#include "log.h"
#include "supervisor_parts.h"
#include "visit.h"
#include "wire.h"

/* For a client's first words, and for its process to end after it has gone. */
#define HANDSHAKE_NS (5 * SECOND_NS)
#define FAREWELL_NS SECOND_NS

/* The one that is served now, or about to leave; null where the board is free. */
static struct visitor *served(struct supervisor *all)
{
    for (size_t i = 0; i < MAX_VISITORS; i++) {
        if (all->visitors[i].stage == SERVED || all->visitors[i].stage == LEAVING) {
            return &all->visitors[i];
        }
    }
    return NULL;
}

static struct visitor *free_place(struct supervisor *all)
{
    for (size_t i = 0; i < MAX_VISITORS; i++) {
        if (all->visitors[i].stage == NOBODY) {
            return &all->visitors[i];
        }
    }
    return NULL;
}

static struct visitor *longest_silent(struct supervisor *all)
{
    struct visitor *longest = NULL;
    for (size_t i = 0; i < MAX_VISITORS; i++) {
        struct visitor *visitor = &all->visitors[i];
        if (visitor->stage == COMING && (longest == NULL || visitor->order < longest->order)) {
            longest = visitor;
        }
    }
    return longest;
}

bool visitors_have_room(struct supervisor *all)
{
    return free_place(all) != NULL || longest_silent(all) != NULL;
}

static void begin_visit(struct supervisor *all, struct visitor *visitor, int control)
{
    struct visit visit = {
        .options = all->options,
        .supervisor = all->pid,
        .socket = visitor->socket,
        .control = control,
        .folder = all->folder,
        .key = all->has_tracker ? all->tracker.key : all->key,
        .state = visitor->state,
        .died_before = all->died_before,
        .exit_code_before = all->exit_code_before,
    };
    visit_begin(&visit);
}

void visitor_receive(struct supervisor *all, uint64_t now_ns)
{
    struct visitor *visitor = free_place(all), *silent = longest_silent(all);
    int ends[2];
    if (visitor == NULL && silent != NULL) {
        /* The next one is heard when it is buried. */
        (void)kill(-silent->pid, SIGKILL);
        return;
    }
    int socket = accept4(all->listener, NULL, NULL, SOCK_CLOEXEC);
    if (socket < 0) {
        return;
    }
    if (visitor == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        (void)close(socket);
        return;
    }
    visitor->socket = socket;
    visitor->control = ends[0];
    visitor->key = all->tracker.keys;
    visitor->order = all->visits++;
    visitor->due_ns = now_ns + HANDSHAKE_NS;
    visitor->expired = false;
    atomic_store(visitor->state, WIRE_IDLE);
    visitor->pid = fork();
    if (visitor->pid == 0) {
        begin_visit(all, visitor, ends[1]);
    }
    (void)close(ends[1]);
    if (visitor->pid < 0) {
        (void)close(socket);
        (void)close(ends[0]);
        return;
    }
    (void)setpgid(visitor->pid, visitor->pid);
    visitor->stage = COMING;
}

static void verdict(const struct visitor *visitor, bool welcome)
{
    char byte = welcome;
    (void)send(visitor->control, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void visitor_hear(struct visitor *visitor)
{
    struct arrival arrival;
    if (recv(visitor->control, &arrival, sizeof arrival, MSG_DONTWAIT) != sizeof arrival) {
        return;
    }
    visitor->timeout_s = arrival.timeout_s;
    visitor->stage = WAITING;
    visitor->due_ns = UINT64_MAX;
}

static uint64_t limit_ns(const struct supervisor *all, const struct visitor *visitor)
{
    double limit_s = all->options->session_limit_s;
    /* Not a number is neither above nor below. */
    if (visitor->timeout_s > 0 && visitor->timeout_s < limit_s) {
        limit_s = visitor->timeout_s;
    }
    return (uint64_t)(limit_s * (double)SECOND_NS);
}

static void let_in(struct supervisor *all, struct visitor *visitor, uint64_t now_ns)
{
    visitor->stage = SERVED;
    visitor->due_ns = now_ns + limit_ns(all, visitor);
    verdict(visitor, true);
    if (all->has_tracker) {
        tracker_withdraw(&all->tracker);
    }
}

static void send_away(struct visitor *visitor, uint64_t now_ns)
{
    visitor->stage = COMING;
    visitor->due_ns = now_ns + FAREWELL_NS;
    verdict(visitor, false);
}

/* The one that waits longest; keys of the tracker are good for one client each. */
void visitors_let_next_in(struct supervisor *all, uint64_t now_ns)
{
    struct visitor *next = NULL;
    for (size_t i = 0; i < MAX_VISITORS; i++) {
        struct visitor *visitor = &all->visitors[i];
        if (visitor->stage != WAITING) {
            continue;
        }
        if (all->has_tracker && visitor->key != all->tracker.keys) {
            send_away(visitor, now_ns);
        } else if (next == NULL || visitor->order < next->order) {
            next = visitor;
        }
    }
    if (next != NULL && served(all) == NULL) {
        let_in(all, next, now_ns);
    }
}

/* A client whose process ended in the middle of its work is told why. */
static void tell_client(const struct visitor *visitor, int status)
{
    char text[200];
    if (visitor->expired) {
        (void)snprintf(text, sizeof text,
                       "RPCSessionTimeoutError: Your %gs session has expired, try to increase the "
                       "\"session_timeout\" value.",
                       visitor->timeout_s);
    } else if (WIFSIGNALED(status)) {
        (void)snprintf(text, sizeof text,
                       "RuntimeError: the session's process died: signal %d (%s)",
                       WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else {
        (void)snprintf(text, sizeof text,
                       "RuntimeError: the session's process died: exit code %d",
                       WEXITSTATUS(status));
    }
    log_line("%s", text);
    /* Into the middle of an answer nothing can be put. A client that does not listen is not
       waited for. */
    if (visitor->stage == SERVED && atomic_load(visitor->state) == WIRE_IDLE) {
        static struct wire wire;
        wire = (struct wire){.socket = visitor->socket, .state = visitor->state};
        (void)fcntl(visitor->socket, F_SETFL, O_NONBLOCK);
        wire_answer_error(&wire, text);
    }
}

/* What the client still sends would reset the connection, and what it was told would be lost. */
static void hang_up(const struct visitor *visitor)
{
    char unread[4096];
    enum { MOST_READS = 1024 };
    (void)shutdown(visitor->socket, SHUT_WR);
    for (int i = 0; i < MOST_READS; i++) {
        if (recv(visitor->socket, unread, sizeof unread, MSG_DONTWAIT) <= 0) {
            break;
        }
    }
    (void)close(visitor->socket);
    (void)close(visitor->control);
}

static void end_service(struct supervisor *all, const struct visitor *visitor, int status,
                        uint64_t now_ns)
{
    bool died = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    if (died && (visitor->stage == SERVED)) {
        tell_client(visitor, status);
    }
    /* Who was ended from here did not die of itself. */
    all->died_before = died && visitor->stage == SERVED && !visitor->expired;
    all->exit_code_before = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    if (all->has_tracker) {
        tracker_offer(&all->tracker, now_ns);
    }
}

void visitor_bury(struct supervisor *all, struct visitor *visitor, int status, uint64_t now_ns)
{
    char name[VISIT_NAME_BYTES];
    /* Whatever it started goes with it. */
    (void)kill(-visitor->pid, SIGKILL);
    if (visitor->stage == SERVED || visitor->stage == LEAVING) {
        end_service(all, visitor, status, now_ns);
    }
    hang_up(visitor);
    visit_name(name, (long)visitor->pid);
    folder_remove(all->folder, name);
    visitor->stage = NOBODY;
}

void visitors_bury_dead(struct supervisor *all, uint64_t now_ns)
{
    for (size_t i = 0; i < MAX_VISITORS; i++) {
        struct visitor *visitor = &all->visitors[i];
        int status = 0;
        if (visitor->stage != NOBODY && waitpid(visitor->pid, &status, WNOHANG) == visitor->pid) {
            visitor_bury(all, visitor, status, now_ns);
        }
    }
}

void visitors_end_late(struct supervisor *all, uint64_t now_ns)
{
    for (size_t i = 0; i < MAX_VISITORS; i++) {
        struct visitor *visitor = &all->visitors[i];
        if (visitor->stage != NOBODY && now_ns >= visitor->due_ns) {
            visitor->expired = visitor->stage == SERVED;
            visitor->due_ns = UINT64_MAX;
            (void)kill(-visitor->pid, SIGKILL);
        }
    }
}

void visitor_see_off(struct visitor *visitor, uint64_t now_ns)
{
    visitor->stage = LEAVING;
    visitor->due_ns = now_ns + FAREWELL_NS;
}
