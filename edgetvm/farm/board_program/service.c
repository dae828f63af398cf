#define _GNU_SOURCE

#include "board.h"
const struct board_function *service_function(const char *name){(void)name; return NULL;}
