/*
 * The board's place at a TVM RPC tracker (python/tvm/rpc/tracker.py), kept for ever.
 *
 * Nothing here waits: the supervisor polls the connection, and calls tracker_step when something
 * came or a deadline passed. Where the tracker is gone it is tried again, ever more seldom.
 */
#ifndef BOARD_TRACKER_H
#define BOARD_TRACKER_H

#include "match_key.h"

enum { TRACKER_ANSWER_BYTES = 64 << 10 };

enum tracker_stage {
    TRACKER_AWAY,
    TRACKER_CONNECTING,
    TRACKER_GREETING,
    TRACKER_INTRODUCING, /* it is told that this board is there */
    TRACKER_OFFERING,    /* it is given the key for the next client */
    TRACKER_ASKING,      /* whether the key is still to be had */
    TRACKER_RESTING
};

struct tracker {
    const struct serve_options *options;
    uint16_t port; /* that clients reach the board by */
    int socket;    /* -1 while it is away */
    enum tracker_stage stage;
    uint64_t due_ns; /* when to act though nothing came */
    uint64_t back_off_ns;
    struct match_key key;
    uint32_t keys;    /* how many were made: tells whether a key is still the newest */
    bool wanted;      /* the board is free: the key is to be offered */
    bool offered;     /* the tracker has it */
    uint32_t offering; /* which one it was sent last */
    unsigned missing; /* how many times in turn it had the key no more */
    bool told_away;   /* the log said that the tracker is away */
    size_t got_bytes;
    char answer[TRACKER_ANSWER_BYTES];
};

void tracker_open(struct tracker *tracker, const struct serve_options *options, uint16_t port);
/* Offer a new key: the board is free. */
void tracker_offer(struct tracker *tracker, uint64_t now_ns);
/* The key was used. */
void tracker_withdraw(struct tracker *tracker);
/* What to poll for; 0 while there is no connection. */
short tracker_events(const struct tracker *tracker);
void tracker_step(struct tracker *tracker, short events, uint64_t now_ns);

#endif
