#define _GNU_SOURCE

#include "supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edgetvm.h"
#include "files.h"
#include "handshake.h"
#include "log.h"
#include "times.h"
#include "tracker.h"
#include "visit.h"
#include "wire.h"

#define SECOND_NS ((uint64_t)1000000000)
/* For a client's first words, and for its process to end after it has gone. */
#define HANDSHAKE_NS (5 * SECOND_NS)
#define FAREWELL_NS SECOND_NS

enum { MAX_VISITORS = 16, BACKLOG = 32, PATH_BYTES = 4096 };

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
    uint64_t began_ns;
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

static volatile sig_atomic_t asked_to_end;

static void on_signal(int number)
{
    asked_to_end = asked_to_end || number != SIGCHLD;
}

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

/* A process for a client that called. */
static void receive_visitor(struct supervisor *all, uint64_t now_ns)
{
    struct visitor *visitor = free_place(all);
    int ends[2];
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

/* It came with the right key; what was the right one when it came. */
static void hear(struct visitor *visitor)
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
    visitor->began_ns = now_ns;
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
static void let_next_in(struct supervisor *all, uint64_t now_ns)
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

static void bury(struct supervisor *all, struct visitor *visitor, int status, uint64_t now_ns)
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

static void bury_dead(struct supervisor *all, uint64_t now_ns)
{
    for (size_t i = 0; i < MAX_VISITORS; i++) {
        struct visitor *visitor = &all->visitors[i];
        int status = 0;
        if (visitor->stage != NOBODY && waitpid(visitor->pid, &status, WNOHANG) == visitor->pid) {
            bury(all, visitor, status, now_ns);
        }
    }
}

static void end_late(struct supervisor *all, uint64_t now_ns)
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

/* Its process ends by itself, if it is not in the middle of a kernel. */
static void see_off(struct visitor *visitor, uint64_t now_ns)
{
    visitor->stage = LEAVING;
    visitor->due_ns = now_ns + FAREWELL_NS;
}

struct watch {
    struct pollfd files[2 + MAX_VISITORS];
    struct visitor *visitors[2 + MAX_VISITORS];
    nfds_t count;
};

static void add_watch(struct watch *watch, int file, short events, struct visitor *visitor)
{
    watch->files[watch->count] = (struct pollfd){.fd = file, .events = events};
    watch->visitors[watch->count++] = visitor;
}

/* The listener first, the tracker next. A negative file is not polled. */
static void prepare(struct supervisor *all, struct watch *watch)
{
    watch->count = 0;
    add_watch(watch, free_place(all) != NULL ? all->listener : -1, POLLIN, NULL);
    add_watch(watch, all->has_tracker ? all->tracker.socket : -1, tracker_events(&all->tracker),
              NULL);
    for (size_t i = 0; i < MAX_VISITORS; i++) {
        struct visitor *visitor = &all->visitors[i];
        if (visitor->stage == COMING) {
            add_watch(watch, visitor->control, POLLIN, visitor);
        } else if (visitor->stage == SERVED) {
            add_watch(watch, visitor->socket, POLLRDHUP, visitor);
        }
    }
}

static uint64_t next_due_ns(const struct supervisor *all)
{
    uint64_t due_ns = all->has_tracker ? all->tracker.due_ns : UINT64_MAX;
    for (size_t i = 0; i < MAX_VISITORS; i++) {
        const struct visitor *visitor = &all->visitors[i];
        if (visitor->stage != NOBODY && visitor->due_ns < due_ns) {
            due_ns = visitor->due_ns;
        }
    }
    return due_ns;
}

/* Signals come while it waits, and at no other time. */
static bool wait_for_something(struct supervisor *all, struct watch *watch)
{
    sigset_t none;
    (void)sigemptyset(&none);
    uint64_t due_ns = next_due_ns(all), now = now_ns();
    uint64_t left_ns = due_ns > now ? due_ns - now : 0;
    struct timespec left = {.tv_sec = (time_t)(left_ns / SECOND_NS),
                            .tv_nsec = (long)(left_ns % SECOND_NS)};
    return ppoll(watch->files, watch->count, due_ns == UINT64_MAX ? NULL : &left, &none) > 0;
}

static void act(struct supervisor *all, const struct watch *watch, bool some)
{
    uint64_t now = now_ns();
    if (all->has_tracker) {
        tracker_step(&all->tracker, some ? watch->files[1].revents : 0, now);
    }
    for (nfds_t i = 2; some && i < watch->count; i++) {
        struct visitor *visitor = watch->visitors[i];
        if (watch->files[i].revents != 0 && visitor->stage == COMING) {
            hear(visitor);
        } else if (watch->files[i].revents != 0) {
            see_off(visitor, now);
        }
    }
    bury_dead(all, now);
    end_late(all, now);
    let_next_in(all, now);
    if (some && watch->files[0].revents != 0) {
        receive_visitor(all, now);
    }
}

static void take_signals(void)
{
    static const int NUMBERS[] = {SIGCHLD, SIGTERM, SIGINT};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;
    (void)sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
        (void)sigaction(NUMBERS[i], &action, NULL);
        (void)sigaddset(&blocked, NUMBERS[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &blocked, NULL);
}

static int fail_with(const char *what)
{
    log_line("%s: %s", what, strerror(errno));
    return EDGETVM_SYSTEM_ERROR;
}

static bool listen_at(struct supervisor *all, uint16_t *port)
{
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(all->options->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    all->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (all->listener < 0 ||
        setsockopt(all->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(all->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(all->listener, BACKLOG) != 0 ||
        getsockname(all->listener, (struct sockaddr *)&address, &size) != 0) {
        return false;
    }
    *port = ntohs(address.sin_port);
    return true;
}

/* Of sessions whose server was killed; those of another that runs are left alone. */
static void remove_leftovers(int folder)
{
    DIR *entries = fdopendir(dup(folder));
    const struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        long pid = visit_pid(entry->d_name);
        if (pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH) {
            folder_remove(folder, entry->d_name);
        }
    }
    if (entries != NULL) {
        (void)closedir(entries);
    }
}

static bool open_folder(struct supervisor *all)
{
    const char *path = all->options->folder;
    if (path == NULL) {
        const char *base = getenv("TMPDIR");
        (void)snprintf(all->folder_path, sizeof all->folder_path, "%s/edgetvm-board-XXXXXX",
                       base != NULL && base[0] != '\0' ? base : "/tmp");
        path = mkdtemp(all->folder_path);
    }
    all->folder = path != NULL ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (all->folder >= 0) {
        remove_leftovers(all->folder);
    }
    return all->folder >= 0;
}

static bool share_states(struct supervisor *all)
{
    size_t size = MAX_VISITORS * sizeof(_Atomic uint32_t);
    _Atomic uint32_t *states =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; states != MAP_FAILED && i < MAX_VISITORS; i++) {
        all->visitors[i].state = &states[i];
    }
    return states != MAP_FAILED;
}

static void clear_up(struct supervisor *all)
{
    for (size_t i = 0; i < MAX_VISITORS; i++) {
        struct visitor *visitor = &all->visitors[i];
        int status = 0;
        if (visitor->stage != NOBODY) {
            visitor->stage = COMING;
            (void)kill(-visitor->pid, SIGKILL);
            (void)waitpid(visitor->pid, &status, 0);
            bury(all, visitor, status, 0);
        }
    }
    if (all->folder_path[0] != '\0') {
        (void)rmdir(all->folder_path);
    }
}

int supervise(const struct serve_options *options)
{
    static struct supervisor all;
    uint16_t port = 0;
    all.options = options;
    all.pid = (long)getpid();
    all.has_tracker = options->tracker.sin_port != 0;
    (void)snprintf(all.key.text, sizeof all.key.text, "%s", options->key);
    if (!listen_at(&all, &port)) {
        return fail_with("it cannot listen on 127.0.0.1");
    }
    if (!share_states(&all) || !open_folder(&all)) {
        return fail_with("there is no folder for the files of sessions (give one with --folder)");
    }
    tracker_open(&all.tracker, options, options->told_port != 0 ? options->told_port : port);
    if (all.has_tracker) {
        tracker_offer(&all.tracker, now_ns());
    }
    take_signals();
    log_line("listening on 127.0.0.1:%u", (unsigned)port);
    while (!asked_to_end) {
        struct watch watch;
        prepare(&all, &watch);
        act(&all, &watch, wait_for_something(&all, &watch));
    }
    clear_up(&all);
    return 0;
}
