#define _GNU_SOURCE

#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "types.h"

/* Longer than any packet of a client, and far from where sums of lengths would overflow. */
#define MAX_PACKET_BYTES ((uint64_t)1 << 40)

/* Read once; 0 where the connection ended. */
static size_t receive(struct wire *wire, void *to, size_t size_bytes)
{
    for (;;) {
        ssize_t got = recv(wire->socket, to, size_bytes, 0);
        if (got > 0) {
            return (size_t)got;
        }
        if (got == 0 || errno != EINTR) {
            wire->lost = true;
            return 0;
        }
    }
}

static bool read_exactly(struct wire *wire, void *to, size_t size_bytes)
{
    uint8_t *at = to;
    while (size_bytes > 0 && !wire->lost) {
        size_t ready = wire->end - wire->begin;
        if (ready == 0 && size_bytes >= sizeof wire->buffer) {
            /* Large values go where they belong at once. */
            size_t got = receive(wire, at, size_bytes);
            at += got;
            size_bytes -= got;
            continue;
        }
        if (ready == 0) {
            wire->begin = 0;
            wire->end = receive(wire, wire->buffer, sizeof wire->buffer);
            continue;
        }
        size_t part = ready < size_bytes ? ready : size_bytes;
        memcpy(at, wire->buffer + wire->begin, part);
        wire->begin += part;
        at += part;
        size_bytes -= part;
    }
    return !wire->lost;
}

bool wire_next(struct wire *wire, int32_t *code)
{
    uint64_t length = 0;
    while (length == 0) {
        if (!read_exactly(wire, &length, sizeof length)) {
            return false;
        }
    }
    if (length < sizeof *code || length > MAX_PACKET_BYTES) {
        wire->lost = true;
        return false;
    }
    wire->malformed = false;
    wire->left = length;
    wire_take(wire, code, sizeof *code);
    return !wire->lost;
}

void wire_take(struct wire *wire, void *to, size_t size_bytes)
{
    if (wire->malformed || size_bytes > wire->left) {
        wire->malformed = true;
        memset(to, 0, size_bytes);
        return;
    }
    wire->left -= size_bytes;
    if (!read_exactly(wire, to, size_bytes)) {
        wire->malformed = true;
        memset(to, 0, size_bytes);
    }
}

int32_t wire_i32(struct wire *wire)
{
    int32_t value = 0;
    wire_take(wire, &value, sizeof value);
    return value;
}

uint64_t wire_u64(struct wire *wire)
{
    uint64_t value = 0;
    wire_take(wire, &value, sizeof value);
    return value;
}

void wire_skip_rest(struct wire *wire)
{
    uint8_t unread[4096];
    while (wire->left > 0 && !wire->lost) {
        size_t part = wire->left < sizeof unread ? (size_t)wire->left : sizeof unread;
        (void)read_exactly(wire, unread, part);
        wire->left -= part;
    }
}

static void send_all(struct wire *wire, struct iovec *parts, int count)
{
    while (count > 0 && !wire->lost) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        ssize_t sent = sendmsg(wire->socket, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            wire->lost = true;
            return;
        }
        size_t rest = (size_t)sent;
        while (count > 0 && rest >= parts->iov_len) {
            rest -= parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + rest;
            parts->iov_len -= rest;
        }
    }
}

/* The beginning of an answer; what follows it is counted in its length. */
struct head {
    size_t size_bytes;
    uint8_t bytes[48];
};

static void put(struct head *head, const void *value, size_t size_bytes)
{
    memcpy(head->bytes + head->size_bytes, value, size_bytes);
    head->size_bytes += size_bytes;
}

static void put_i32(struct head *head, int32_t value)
{
    put(head, &value, sizeof value);
}

static void put_u64(struct head *head, uint64_t value)
{
    put(head, &value, sizeof value);
}

static struct head begin(int32_t code)
{
    struct head head = {.size_bytes = sizeof(uint64_t)};
    put_i32(&head, code);
    return head;
}

static void put_value(struct head *head, int32_t type, uint64_t bits)
{
    put_i32(head, type);
    if (type != TYPE_NONE) {
        put_u64(head, bits);
    }
}

/* Set the length, and send. */
static void send_head(struct wire *wire, struct head *head, uint64_t more_bytes)
{
    uint64_t length = head->size_bytes - sizeof length + more_bytes;
    memcpy(head->bytes, &length, sizeof length);
    atomic_store(wire->state, WIRE_ANSWERING);
    struct iovec part = {.iov_base = head->bytes, .iov_len = head->size_bytes};
    send_all(wire, &part, 1);
}

void wire_send_part(struct wire *wire, const void *data, size_t size_bytes)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size_bytes};
    send_all(wire, &part, size_bytes > 0);
}

void wire_end_parts(struct wire *wire)
{
    atomic_store(wire->state, WIRE_IDLE);
}

void wire_answer(struct wire *wire, int32_t type, uint64_t bits)
{
    struct head head = begin(PACKET_RETURN);
    put_i32(&head, 1);
    put_value(&head, type, bits);
    send_head(wire, &head, 0);
    wire_end_parts(wire);
}

void wire_answer_result(struct wire *wire, int32_t type, uint64_t bits)
{
    struct head head = begin(PACKET_RETURN);
    put_i32(&head, 2);
    put_value(&head, TYPE_INT, (uint64_t)type);
    /* Functions and modules are handles on the wire. */
    put_value(&head, type >= TYPE_OBJECT ? TYPE_POINTER : type, bits);
    send_head(wire, &head, 0);
    wire_end_parts(wire);
}

void wire_begin_blob(struct wire *wire, int32_t type, uint64_t size_bytes)
{
    struct head head = begin(PACKET_RETURN);
    put_i32(&head, 2);
    put_value(&head, TYPE_INT, (uint64_t)type);
    put_value(&head, type == TYPE_TEXT ? TYPE_RAW_TEXT : TYPE_RAW_BYTES, size_bytes);
    send_head(wire, &head, size_bytes);
}

void wire_begin_copy(struct wire *wire, uint64_t size_bytes)
{
    struct head head = begin(PACKET_COPY_ACK);
    send_head(wire, &head, size_bytes);
}

void wire_answer_error(struct wire *wire, const char *text)
{
    size_t length = strlen(text);
    struct head head = begin(PACKET_EXCEPTION);
    put_i32(&head, 1);
    put_value(&head, TYPE_RAW_TEXT, length);
    send_head(wire, &head, length);
    wire_send_part(wire, text, length);
    wire_end_parts(wire);
}
