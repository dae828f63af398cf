/*
 * The connection of a session, in packets: TVM's RPC protocol (src/runtime/rpc/rpc_endpoint.cc).
 *
 * A packet is read as it comes, value by value, so that none needs room for all of it. Each value
 * is checked against the packet's length; the first that goes beyond it makes the packet malformed,
 * and all later ones are zero. So a caller may read on, and ask at the end.
 */
#ifndef BOARD_WIRE_H
#define BOARD_WIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum packet {
    PACKET_SHUTDOWN = 1,
    PACKET_INIT_SERVER = 2,
    PACKET_CALL = 3,
    PACKET_RETURN = 4,
    PACKET_EXCEPTION = 5,
    PACKET_COPY_FROM_REMOTE = 6,
    PACKET_COPY_TO_REMOTE = 7,
    PACKET_COPY_ACK = 8,
    PACKET_GET_FUNCTION = 9,
    PACKET_FREE_HANDLE = 10,
    PACKET_SET_DEVICE = 11,
    PACKET_GET_ATTRIBUTE = 12,
    PACKET_ALLOCATE = 13,
    PACKET_FREE_DATA = 14,
    PACKET_SYNCHRONISE = 15,
    PACKET_COPY_AMONG_REMOTE = 16,
    PACKET_ALLOCATE_SCOPED = 17,
    PACKET_CREATE_STREAM = 18,
    PACKET_FREE_STREAM = 19,
    PACKET_SET_STREAM = 20,
    PACKET_GET_STREAM = 21
};

/* What the supervisor must know when the session's process ends in the middle of its work. */
enum wire_state { WIRE_IDLE, WIRE_ANSWERING };

struct wire {
    int socket;
    bool lost;      /* the connection ended, or is out of step: there is nothing more to read */
    bool malformed; /* this packet is shorter than what it must hold */
    uint64_t left;  /* of this packet */
    _Atomic uint32_t *state;
    size_t begin, end; /* of what lies in the buffer unread */
    uint8_t buffer[16 << 10];
};

/* The next packet's code; false where the connection ended. */
bool wire_next(struct wire *wire, int32_t *code);
void wire_take(struct wire *wire, void *to, size_t size_bytes);
int32_t wire_i32(struct wire *wire);
uint64_t wire_u64(struct wire *wire);
/* What is left of the packet, so that the next one can be read. */
void wire_skip_rest(struct wire *wire);

/* Answers. Of a request of the protocol's own: one value. */
void wire_answer(struct wire *wire, int32_t type, uint64_t bits);
/* Of a function that was called: a value after its type. */
void wire_answer_result(struct wire *wire, int32_t type, uint64_t bits);
/* Of a function that was called: bytes or a text, sent in parts from then on. */
void wire_begin_blob(struct wire *wire, int32_t type, uint64_t size_bytes);
void wire_begin_copy(struct wire *wire, uint64_t size_bytes);
void wire_send_part(struct wire *wire, const void *data, size_t size_bytes);
void wire_end_parts(struct wire *wire);
void wire_answer_error(struct wire *wire, const char *text);

#endif
