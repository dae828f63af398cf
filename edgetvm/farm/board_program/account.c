#define _GNU_SOURCE

#include "account.h"

#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

bool account_become(const struct account *account)
{
    if (account->uid == 0) {
        return true;
    }
    return setgroups(0, NULL) == 0 && setresgid(account->gid, account->gid, account->gid) == 0 &&
           setresuid(account->uid, account->uid, account->uid) == 0 &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}
