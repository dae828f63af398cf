#define _GNU_SOURCE

#include "supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edgetvm.h"
#include "files.h"
#include "log.h"
#include "supervisor_parts.h"
#include "times.h"
#include "visit.h"

enum { BACKLOG = 32 };

static volatile sig_atomic_t asked_to_end;

static void on_signal(int number)
{
    asked_to_end = asked_to_end || number != SIGCHLD;
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
    add_watch(watch, visitors_have_room(all) ? all->listener : -1, POLLIN, NULL);
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
            visitor_hear(visitor);
        } else if (watch->files[i].revents != 0) {
            visitor_see_off(visitor, now);
        }
    }
    visitors_bury_dead(all, now);
    visitors_end_late(all, now);
    visitors_let_next_in(all, now);
    if (some && watch->files[0].revents != 0) {
        visitor_receive(all, now);
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
            visitor_bury(all, visitor, status, 0);
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
    if (!account_become(&options->account)) {
        return fail_with("it cannot become the account of --as");
    }
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
