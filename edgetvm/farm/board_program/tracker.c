#define _GNU_SOURCE

#include "tracker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

#define SECOND_NS ((uint64_t)1000000000)
#define FIRST_BACK_OFF_NS (SECOND_NS / 5)
#define MOST_BACK_OFF_NS (5 * SECOND_NS)
#define ANSWER_NS (5 * SECOND_NS)
#define REST_NS (2 * SECOND_NS)

enum { MAGIC = 0x2F271, PUT = 3, UPDATE_INFO = 5, PENDING = 7 };
/* A client that was given the key and did not come in so many rests will not come. */
enum { MOST_MISSING = 4 };

void tracker_open(struct tracker *tracker, const struct serve_options *options, uint16_t port)
{
    *tracker = (struct tracker){
        .options = options, .port = port, .socket = -1, .back_off_ns = FIRST_BACK_OFF_NS};
}

static void leave(struct tracker *tracker, const char *why, uint64_t now_ns)
{
    if (tracker->socket >= 0) {
        (void)close(tracker->socket);
        tracker->socket = -1;
    }
    if (!tracker->told_away) {
        log_line("the tracker does not answer: %s; trying on", why);
        tracker->told_away = true;
    }
    tracker->stage = TRACKER_AWAY;
    tracker->offered = false;
    tracker->due_ns = now_ns + tracker->back_off_ns;
    tracker->back_off_ns *= 2;
    if (tracker->back_off_ns > MOST_BACK_OFF_NS) {
        tracker->back_off_ns = MOST_BACK_OFF_NS;
    }
}

/* Messages are short: they fit what the system keeps for a connection. */
static bool send_bytes(const struct tracker *tracker, const void *data, size_t size_bytes)
{
    return send(tracker->socket, data, size_bytes, MSG_NOSIGNAL) == (ssize_t)size_bytes;
}

static void expect(struct tracker *tracker, enum tracker_stage stage, uint64_t now_ns)
{
    tracker->stage = stage;
    tracker->got_bytes = 0;
    tracker->due_ns = now_ns + ANSWER_NS;
}

static void say(struct tracker *tracker, enum tracker_stage stage, const char *text,
                uint64_t now_ns)
{
    char message[3 * MATCH_KEY_BYTES];
    int32_t length = (int32_t)strlen(text);
    memcpy(message, &length, sizeof length);
    memcpy(message + sizeof length, text, (size_t)length);
    expect(tracker, stage, now_ns);
    if (!send_bytes(tracker, message, sizeof length + (size_t)length)) {
        leave(tracker, strerror(errno), now_ns);
    }
}

static void connect_to(struct tracker *tracker, uint64_t now_ns)
{
    tracker->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    expect(tracker, TRACKER_CONNECTING, now_ns);
    const struct sockaddr_in *address = &tracker->options->tracker;
    if (tracker->socket < 0 ||
        (connect(tracker->socket, (const struct sockaddr *)address, sizeof *address) != 0 &&
         errno != EINPROGRESS)) {
        leave(tracker, strerror(errno), now_ns);
    }
}

/* The tracker takes its first bytes for the whole greeting: nothing may follow them. */
static void greet(struct tracker *tracker, uint64_t now_ns)
{
    int32_t magic = MAGIC;
    int problem = 0;
    socklen_t size = sizeof problem;
    (void)getsockopt(tracker->socket, SOL_SOCKET, SO_ERROR, &problem, &size);
    expect(tracker, TRACKER_GREETING, now_ns);
    if (problem != 0 || !send_bytes(tracker, &magic, sizeof magic)) {
        leave(tracker, strerror(problem != 0 ? problem : errno), now_ns);
    }
}

static void introduce(struct tracker *tracker, uint64_t now_ns)
{
    char text[2 * MATCH_KEY_BYTES];
    (void)snprintf(text, sizeof text,
                   "[%d, {\"key\": \"server:%s\", \"addr\": [\"127.0.0.1\", %u]}]", UPDATE_INFO,
                   tracker->options->key, (unsigned)tracker->port);
    say(tracker, TRACKER_INTRODUCING, text, now_ns);
}

static void offer_key(struct tracker *tracker, uint64_t now_ns)
{
    char text[3 * MATCH_KEY_BYTES];
    (void)snprintf(text, sizeof text, "[%d, \"%s\", [%u, \"%s\"], \"127.0.0.1\"]", PUT,
                   tracker->options->key, (unsigned)tracker->port, tracker->key.text);
    tracker->missing = 0;
    tracker->offering = tracker->keys;
    say(tracker, TRACKER_OFFERING, text, now_ns);
}

static void ask(struct tracker *tracker, uint64_t now_ns)
{
    char text[8];
    (void)snprintf(text, sizeof text, "[%d]", PENDING);
    say(tracker, TRACKER_ASKING, text, now_ns);
}

static void rest(struct tracker *tracker, uint64_t now_ns)
{
    tracker->stage = TRACKER_RESTING;
    /* Nothing is to be asked while a client is served. */
    tracker->due_ns = tracker->wanted ? now_ns + REST_NS : UINT64_MAX;
}

static bool make_key(struct tracker *tracker)
{
    tracker->keys++;
    tracker->offered = false;
    return match_key_make(&tracker->key, tracker->options->key);
}

static void go_on(struct tracker *tracker, uint64_t now_ns)
{
    if (tracker->wanted && !tracker->offered) {
        offer_key(tracker, now_ns);
    } else {
        rest(tracker, now_ns);
    }
}

void tracker_offer(struct tracker *tracker, uint64_t now_ns)
{
    tracker->wanted = true;
    if (!make_key(tracker)) {
        leave(tracker, "the system has no random numbers", now_ns);
    } else if (tracker->stage == TRACKER_RESTING) {
        offer_key(tracker, now_ns);
    }
}

void tracker_withdraw(struct tracker *tracker)
{
    tracker->wanted = false;
    tracker->keys++;
}

/* The keys that no client was given yet, in quotes. */
static void look_for_key(struct tracker *tracker, const char *text, size_t length, uint64_t now_ns)
{
    char quoted[MATCH_KEY_BYTES + 2];
    int size = snprintf(quoted, sizeof quoted, "\"%s\"", tracker->key.text);
    bool there = memmem(text, length, quoted, (size_t)size) != NULL;
    tracker->missing = there ? 0 : tracker->missing + 1;
    if (tracker->wanted && tracker->missing >= MOST_MISSING) {
        tracker_offer(tracker, now_ns);
    }
}

static void take_answer(struct tracker *tracker, const char *text, size_t length, uint64_t now_ns)
{
    bool accepted = length == 1 && text[0] == '0';
    if (tracker->stage == TRACKER_ASKING) {
        look_for_key(tracker, text, length, now_ns);
    } else if (!accepted) {
        leave(tracker, "it refuses this board", now_ns);
        return;
    } else if (tracker->stage == TRACKER_OFFERING) {
        tracker->offered = tracker->offering == tracker->keys;
    } else if (tracker->told_away) {
        log_line("registered again");
        tracker->told_away = false;
    }
    tracker->back_off_ns = FIRST_BACK_OFF_NS;
    go_on(tracker, now_ns);
}

static void take_greeting(struct tracker *tracker, uint64_t now_ns)
{
    int32_t magic = 0;
    memcpy(&magic, tracker->answer, sizeof magic);
    if (magic != MAGIC) {
        leave(tracker, "something else than a tracker answers there", now_ns);
        return;
    }
    introduce(tracker, now_ns);
}

static void take_bytes(struct tracker *tracker, uint64_t now_ns)
{
    int32_t length = 0;
    if (tracker->got_bytes < sizeof length) {
        return;
    }
    memcpy(&length, tracker->answer, sizeof length);
    if (tracker->stage == TRACKER_GREETING) {
        take_greeting(tracker, now_ns);
    } else if (length < 0 || (size_t)length > sizeof tracker->answer - sizeof length) {
        leave(tracker, "its answer is malformed", now_ns);
    } else if (tracker->got_bytes >= sizeof length + (size_t)length) {
        take_answer(tracker, tracker->answer + sizeof length, (size_t)length, now_ns);
    }
}

static void receive(struct tracker *tracker, uint64_t now_ns)
{
    size_t room = sizeof tracker->answer - tracker->got_bytes;
    ssize_t got = recv(tracker->socket, tracker->answer + tracker->got_bytes, room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0 || tracker->stage == TRACKER_RESTING) {
        leave(tracker, got < 0 ? strerror(errno) : "it closed the connection", now_ns);
        return;
    }
    tracker->got_bytes += (size_t)got;
    take_bytes(tracker, now_ns);
}

short tracker_events(const struct tracker *tracker)
{
    if (tracker->socket < 0) {
        return 0;
    }
    return tracker->stage == TRACKER_CONNECTING ? POLLOUT : POLLIN;
}

static void act_when_due(struct tracker *tracker, uint64_t now_ns)
{
    switch (tracker->stage) {
    case TRACKER_AWAY:
        connect_to(tracker, now_ns);
        break;
    case TRACKER_RESTING:
        ask(tracker, now_ns);
        break;
    default:
        leave(tracker, "no answer in time", now_ns);
        break;
    }
}

void tracker_step(struct tracker *tracker, short events, uint64_t now_ns)
{
    if (tracker->socket >= 0 && events != 0) {
        if (tracker->stage == TRACKER_CONNECTING) {
            greet(tracker, now_ns);
        } else {
            receive(tracker, now_ns);
        }
    }
    if (now_ns >= tracker->due_ns) {
        act_when_due(tracker, now_ns);
    }
}
