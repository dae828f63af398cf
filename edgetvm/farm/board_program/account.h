/* The account that a server runs as, where root starts it. */
#ifndef BOARD_ACCOUNT_H
#define BOARD_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

struct account {
    uint32_t uid, gid; /* 0: whoever started it */
};

/* Become it for good, with no other groups. False where the system does not let it. */
bool account_become(const struct account *account);

#endif
