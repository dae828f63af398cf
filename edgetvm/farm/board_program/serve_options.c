#include "serve_options.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

const char SERVE_HELP[] =
    "edgetvm-board serve --key KEY [--tracker HOST:PORT] [OPTION...]\n"
    "edgetvm-board serve --key-file FILE [OPTION...]\n"
    "\n"
    "Serves this board to clients of TVM's RPC, one at a time, on 127.0.0.1 only.\n"
    "\n"
    "  --key KEY              to register under; without a tracker clients come with it\n"
    "  --key-file FILE        that holds the key which clients come with\n"
    "  --tracker HOST:PORT    where to register: an IPv4 address, or localhost\n"
    "  --port P               to listen on (whichever is free)\n"
    "  --told-port P          that clients reach it by, where a tunnel changes it\n"
    "  --folder FOLDER        for the files of sessions (a new one in $TMPDIR or /tmp)\n"
    "  --memory MB            that a session may have (what is free when it begins)\n"
    "  --as UID:GID           account to serve as, in numbers, where root starts it\n"
    "  --session-limit S      seconds after which any session is ended (86400)\n"
    "  --help\n";

enum kind { FLAG, TEXT, KEY, KEY_FILE, PORT, NUMBER, ADDRESS, ACCOUNT };

struct option {
    const char *name;
    enum kind kind;
    size_t offset;
};

static const struct option OPTIONS[] = {
    {"--key", KEY, offsetof(struct serve_options, key)},
    {"--key-file", KEY_FILE, 0},
    {"--as", ACCOUNT, offsetof(struct serve_options, account)},
    {"--tracker", ADDRESS, offsetof(struct serve_options, tracker)},
    {"--port", PORT, offsetof(struct serve_options, port)},
    {"--told-port", PORT, offsetof(struct serve_options, told_port)},
    {"--folder", TEXT, offsetof(struct serve_options, folder)},
    {"--memory", NUMBER, offsetof(struct serve_options, memory_mb)},
    {"--session-limit", NUMBER, offsetof(struct serve_options, session_limit_s)},
    {"--help", FLAG, offsetof(struct serve_options, help)},
};

static bool read_number(const char *text, unsigned long most, unsigned long *number)
{
    if (*text < '0' || *text > '9' || strlen(text) > 9) {
        return false;
    }
    char *end = NULL;
    *number = strtoul(text, &end, 10);
    return *end == '\0' && *number <= most;
}

static bool read_address(const char *text, struct sockaddr_in *address)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : sizeof host;
    unsigned long port = 0;
    if (length >= sizeof host || !read_number(colon + 1, UINT16_MAX, &port) || port == 0) {
        return false;
    }
    memcpy(host, text, length);
    host[length] = '\0';
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const char *numbers = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    return inet_pton(AF_INET, numbers, &address->sin_addr) == 1;
}

/* A key stands in JSON, and in front of a blank. */
static bool is_key(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > MAX_KEY_BYTES) {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~' || *at == '"' || *at == '\\') {
            return false;
        }
    }
    return true;
}

/* Its first line, so that an editor's line end does no harm. */
static const char *read_key(struct serve_options *options, const char *path)
{
    if (!file_read_text(path, options->key_read, sizeof options->key_read)) {
        return "the file of --key-file cannot be read";
    }
    options->key_read[strcspn(options->key_read, "\n")] = '\0';
    options->key = options->key_read;
    return is_key(options->key) ? NULL
                                : "the file of --key-file holds no key: 1 to 128 letters, no blanks";
}

static bool read_account(const char *text, struct account *account)
{
    char uid[16];
    unsigned long numbers[2];
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : sizeof uid;
    if (length >= sizeof uid) {
        return false;
    }
    memcpy(uid, text, length);
    uid[length] = '\0';
    if (!read_number(uid, UINT32_MAX, &numbers[0]) ||
        !read_number(colon + 1, UINT32_MAX, &numbers[1])) {
        return false;
    }
    *account = (struct account){(uint32_t)numbers[0], (uint32_t)numbers[1]};
    return account->uid != 0 && account->gid != 0;
}

static const char *take(struct serve_options *options, const struct option *option,
                        const char *value)
{
    void *place = (char *)options + option->offset;
    unsigned long number = 0;
    switch (option->kind) {
    case FLAG:
        *(bool *)place = true;
        return NULL;
    case TEXT:
        *(const char **)place = value;
        return NULL;
    case KEY:
        *(const char **)place = value;
        return is_key(value) ? NULL
                             : "--key has 1 to 128 letters, no blanks, quotes or backslashes";
    case KEY_FILE:
        return read_key(options, value);
    case ACCOUNT:
        return read_account(value, place) ? NULL : "--as is UID:GID in numbers, and not root's";
    case PORT:
        if (!read_number(value, UINT16_MAX, &number)) {
            return "a port is a number up to 65535";
        }
        *(uint16_t *)place = (uint16_t)number;
        return NULL;
    case NUMBER:
        if (!read_number(value, UINT32_MAX, &number) || number == 0) {
            return "an option's value is no number above 0";
        }
        *(uint32_t *)place = (uint32_t)number;
        return NULL;
    case ADDRESS:
        return read_address(value, place) ? NULL : "--tracker is HOST:PORT, as 127.0.0.1:9190";
    }
    return NULL;
}

static const struct option *find(const char *name)
{
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
        if (strcmp(OPTIONS[i].name, name) == 0) {
            return &OPTIONS[i];
        }
    }
    return NULL;
}

const char *serve_options_read(struct serve_options *options, int count, char **arguments)
{
    *options = (struct serve_options){.session_limit_s = 86400};
    for (int i = 1; i < count; i++) {
        const struct option *option = find(arguments[i]);
        if (option == NULL) {
            return "there is an unknown option";
        }
        bool valued = option->kind != FLAG;
        if (valued && ++i == count) {
            return "the last option lacks its value";
        }
        const char *problem = take(options, option, valued ? arguments[i] : NULL);
        if (problem != NULL) {
            return problem;
        }
    }
    if (options->key == options->key_read && options->tracker.sin_port != 0) {
        return "--tracker needs --key: whoever asks a tracker sees it, and a key file is secret";
    }
    return options->key != NULL || options->help ? NULL : "--key or --key-file is missing";
}
