/* What the server says of itself, on its standard error. */
#ifndef BOARD_LOG_H
#define BOARD_LOG_H

/* One line. */
__attribute__((format(printf, 1, 2))) void log_line(const char *format, ...);

#endif
