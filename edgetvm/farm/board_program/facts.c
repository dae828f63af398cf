#define _GNU_SOURCE

#include "facts.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "files.h"

enum { TEXT_BYTES = 16 << 10, VALUE_BYTES = 200 };

/* The value of the first line with one of these keys; false where there is none. */
static bool find_cpu(char *value)
{
    static const char *const KEYS[] = {"model name", "Model", "Hardware"};
    char text[TEXT_BYTES];
    char *rest = NULL;
    if (!file_read_text("/proc/cpuinfo", text, sizeof text)) {
        return false;
    }
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *colon = strchr(line, ':');
        for (size_t i = 0; colon != NULL && i < sizeof KEYS / sizeof *KEYS; i++) {
            size_t length = strlen(KEYS[i]);
            if (strncmp(line, KEYS[i], length) == 0 && strspn(line + length, " \t") ==
                                                           (size_t)(colon - line) - length) {
                colon += 1 + strspn(colon + 1, " \t");
                (void)snprintf(value, VALUE_BYTES, "%s", colon);
                return true;
            }
        }
    }
    return false;
}

/* A file's one line, or null. */
static void write_line(struct text *text, const char *path)
{
    char value[VALUE_BYTES];
    if (!file_read_text(path, value, sizeof value)) {
        text_format(text, "null");
        return;
    }
    value[strcspn(value, "\n")] = '\0';
    text_quote(text, value);
}

void facts_write_temperature(struct text *text)
{
    char path[300], value[VALUE_BYTES];
    long hottest = 0;
    bool found = false;
    DIR *sensors = opendir("/sys/class/thermal");
    const struct dirent *entry;
    while (sensors != NULL && (entry = readdir(sensors)) != NULL) {
        static const char PREFIX[] = "thermal_zone";
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0) {
            continue;
        }
        (void)snprintf(path, sizeof path, "/sys/class/thermal/%.200s/temp", entry->d_name);
        if (file_read_text(path, value, sizeof value) && value[0] != '\0') {
            long thousandths = strtol(value, NULL, 10);
            hottest = !found || thousandths > hottest ? thousandths : hottest;
            found = true;
        }
    }
    if (sensors != NULL) {
        (void)closedir(sensors);
    }
    if (found) {
        text_format(text, "%.3f", (double)hottest / 1000);
    } else {
        text_format(text, "null");
    }
}

bool facts_read_throttled(unsigned long *flags)
{
    char value[VALUE_BYTES];
    if (!file_read_text("/sys/devices/platform/soc/soc:firmware/get_throttled", value,
                        sizeof value)) {
        return false;
    }
    *flags = strtoul(value, NULL, 16);
    return true;
}

/* Whether a Raspberry Pi slows down now: the firmware's bits 0 to 3. Null on other boards. */
static void write_throttled(struct text *text)
{
    unsigned long flags = 0;
    bool told = facts_read_throttled(&flags);
    text_format(text, "%s", !told ? "null" : (flags & 0xF) != 0 ? "true" : "false");
}

static double load_average(void)
{
    char value[VALUE_BYTES];
    return file_read_text("/proc/loadavg", value, sizeof value) ? strtod(value, NULL) : 0;
}

static void write_key(struct text *text, const char *key)
{
    text_format(text, ", \"%s\": ", key);
}

void facts_write(const struct board *board, struct text *text)
{
    struct utsname system = {0};
    char cpu[VALUE_BYTES];
    (void)uname(&system);
    text_format(text, "{\"version\": \"%s\"", edgetvm_version());
    write_key(text, "machine");
    text_quote(text, system.machine);
    write_key(text, "kernel");
    text_quote(text, system.release);
    write_key(text, "cpu");
    text_quote(text, find_cpu(cpu) ? cpu : system.machine);
    text_format(text, ", \"cores\": %d", CPU_COUNT(&board->cores));
    write_key(text, "governor");
    write_line(text, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    text_format(text, ", \"load_average\": %.2f", load_average());
    write_key(text, "temperature_c");
    facts_write_temperature(text);
    write_key(text, "throttled");
    write_throttled(text);
    write_key(text, "last_exit_code");
    if (board->died_before) {
        text_format(text, "%d}", (int)board->exit_code_before);
    } else {
        text_format(text, "null}");
    }
}
