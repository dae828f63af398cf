#define _GNU_SOURCE

#include "conditions.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "facts.h"
#include "files.h"
#include "times.h"

enum { VALUE_BYTES = 200, PATH_BYTES = 400, STAT_BYTES = 64 << 10, MAX_GOVERNORS = 8 };

#define CORE_FOLDER "/sys/devices/system/cpu/cpu%d/"

static void write_key(struct text *text, const char *key)
{
    text_format(text, ", \"%s\": ", key);
}

/* A file's one line, without its end. */
static bool read_line(const char *path, char *value)
{
    bool read = file_read_text(path, value, VALUE_BYTES);
    value[read ? strcspn(value, "\n") : 0] = '\0';
    return read && value[0] != '\0';
}

/* A file of one core. */
static bool read_core(int core, const char *file, char *value)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, CORE_FOLDER "%s", core, file);
    return read_line(path, value);
}

/* Of every core that has it, the number in a file. */
static void write_cores(const struct board *board, struct text *text, const char *key,
                        const char *file)
{
    char value[VALUE_BYTES];
    const char *between = "";
    write_key(text, key);
    text_format(text, "[");
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (CPU_ISSET((unsigned)core, &board->cores) && read_core(core, file, value)) {
            text_format(text, "%s%lld", between, strtoll(value, NULL, 10));
            between = ", ";
        }
    }
    text_format(text, "]");
}

static void write_affinity(struct text *text)
{
    cpu_set_t cores;
    const char *between = "";
    CPU_ZERO(&cores);
    (void)sched_getaffinity(0, sizeof cores, &cores);
    write_key(text, "cores");
    text_format(text, "[");
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (CPU_ISSET((unsigned)core, &cores)) {
            text_format(text, "%s%d", between, core);
            between = ", ";
        }
    }
    text_format(text, "]");
}

/* Each governor once, in the order of the cores. */
static void write_governors(const struct board *board, struct text *text)
{
    char found[MAX_GOVERNORS][VALUE_BYTES];
    int count = 0;
    write_key(text, "governors");
    text_format(text, "[");
    for (int core = 0; core < CPU_SETSIZE && count < MAX_GOVERNORS; core++) {
        if (!CPU_ISSET((unsigned)core, &board->cores) ||
            !read_core(core, "cpufreq/scaling_governor", found[count])) {
            continue;
        }
        int same = 0;
        while (strcmp(found[same], found[count]) != 0) {
            same++;
        }
        if (same == count) {
            text_format(text, "%s", count > 0 ? ", " : "");
            text_quote(text, found[count++]);
        }
    }
    text_format(text, "]");
}

/* How often cores were slowed down for heat, all together. */
static void write_throttle_events(const struct board *board, struct text *text)
{
    char value[VALUE_BYTES];
    long long events = 0;
    bool told = false;
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (CPU_ISSET((unsigned)core, &board->cores) &&
            read_core(core, "thermal_throttle/core_throttle_count", value)) {
            events += strtoll(value, NULL, 10);
            told = true;
        }
    }
    write_key(text, "throttle_events");
    if (told) {
        text_format(text, "%lld", events);
    } else {
        text_format(text, "null");
    }
}

static void write_throttled(struct text *text)
{
    unsigned long flags = 0;
    write_key(text, "throttled");
    if (facts_read_throttled(&flags)) {
        text_format(text, "%lu", flags);
    } else {
        text_format(text, "null");
    }
}

/* "0.52 0.58 0.59 2/345 6789": the load of one minute, and what runs. */
static void write_load(struct text *text)
{
    char value[VALUE_BYTES];
    double load = 0;
    long runnable = 0;
    if (read_line("/proc/loadavg", value)) {
        char *rest = NULL;
        load = strtod(value, &rest);
        const char *slash = strchr(rest, '/');
        while (slash != NULL && slash > rest && slash[-1] != ' ') {
            slash--;
        }
        runnable = slash != NULL ? strtol(slash, NULL, 10) : 0;
    }
    text_format(text, ", \"load_average\": %.2f, \"runnable\": %ld", load, runnable);
}

/* The columns of a line of /proc/stat, see proc(5). */
enum column { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, COLUMNS };

/* The ticks of the cores that the session may use: not idle, and taken by a hypervisor. */
static void add_ticks(const struct board *board, const char *line, uint64_t *busy, uint64_t *stolen)
{
    char *at = NULL;
    long core = strtol(line, &at, 10);
    if (at == line || core < 0 || core >= CPU_SETSIZE || !CPU_ISSET((unsigned)core, &board->cores)) {
        return;
    }
    for (enum column column = USER; column < COLUMNS; column++) {
        uint64_t ticks = strtoull(at, &at, 10);
        if (column == STEAL) {
            *stolen += ticks;
        } else if (column != IDLE && column != IOWAIT) {
            *busy += ticks;
        }
    }
}

static void write_ticks(const struct board *board, struct text *text)
{
    char *stat = malloc(STAT_BYTES), *rest = NULL;
    uint64_t busy = 0, stolen = 0, tick_ns = 1000000000U / (uint64_t)sysconf(_SC_CLK_TCK);
    if (stat != NULL && file_read_text("/proc/stat", stat, STAT_BYTES)) {
        for (char *line = strtok_r(stat, "\n", &rest); line != NULL && strncmp(line, "cpu", 3) == 0;
             line = strtok_r(NULL, "\n", &rest)) {
            add_ticks(board, line + 3, &busy, &stolen);
        }
    }
    free(stat);
    text_format(text, ", \"busy_cpu_ns\": %llu, \"stolen_cpu_ns\": %llu",
                (unsigned long long)(busy * tick_ns), (unsigned long long)(stolen * tick_ns));
}

static uint64_t ns_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000000U + (uint64_t)time->tv_usec * 1000U;
}

/* How long a thread was ready to run and had no core: the second number of its schedstat. */
static bool read_waited(const char *task, uint64_t *waited_ns)
{
    char path[PATH_BYTES], value[VALUE_BYTES], *rest = NULL;
    (void)snprintf(path, sizeof path, "/proc/self/task/%.20s/schedstat", task);
    if (!read_line(path, value)) {
        return false;
    }
    (void)strtoull(value, &rest, 10);
    *waited_ns += strtoull(rest, NULL, 10);
    return true;
}

static void write_tasks(struct text *text)
{
    long threads = 0;
    uint64_t waited_ns = 0;
    bool told = false;
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] != '.') {
            threads++;
            told = read_waited(entry->d_name, &waited_ns) || told;
        }
    }
    if (tasks != NULL) {
        (void)closedir(tasks);
    }
    text_format(text, ", \"threads\": %ld", threads);
    write_key(text, "waited_ns");
    if (told) {
        text_format(text, "%llu", (unsigned long long)waited_ns);
    } else {
        text_format(text, "null");
    }
}

static void write_own(struct text *text)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    text_format(text, ", \"voluntary_switches\": %ld, \"involuntary_switches\": %ld",
                usage.ru_nvcsw, usage.ru_nivcsw);
    text_format(text, ", \"own_cpu_ns\": %llu",
                (unsigned long long)(ns_of(&usage.ru_utime) + ns_of(&usage.ru_stime)));
    write_tasks(text);
}

/* A folder's counters of energy: files that begin and end so, under the name in another file. */
struct meter {
    const char *folder, *entries; /* its entries begin so */
    const char *begin, *end;      /* of the counters' files in an entry */
};

static const struct meter METERS[] = {
    {"/sys/class/powercap", "intel-rapl:", "energy_uj", "energy_uj"},
    {"/sys/class/hwmon", "hwmon", "energy", "_input"},
};

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* The counters of one entry; `between` stands before the next. */
static void write_counters(struct text *text, const struct meter *meter, const char *entry,
                           const char **between)
{
    char path[PATH_BYTES], value[VALUE_BYTES];
    (void)snprintf(path, sizeof path, "%s/%.80s", meter->folder, entry);
    DIR *folder = opendir(path);
    const struct dirent *file;
    while (folder != NULL && (file = readdir(folder)) != NULL) {
        if (!begins_with(file->d_name, meter->begin) || !ends_with(file->d_name, meter->end)) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%.80s/%.80s", meter->folder, entry, file->d_name);
        if (read_line(path, value)) {
            (void)snprintf(path, sizeof path, "%.80s/%.80s", entry, file->d_name);
            text_format(text, "%s", *between);
            text_quote(text, path);
            text_format(text, ": %llu", strtoull(value, NULL, 10));
            *between = ", ";
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}

static void write_energy(struct text *text)
{
    const char *between = "";
    write_key(text, "energy_uj");
    text_format(text, "{");
    for (size_t i = 0; i < sizeof METERS / sizeof *METERS; i++) {
        DIR *folder = opendir(METERS[i].folder);
        const struct dirent *entry;
        while (folder != NULL && (entry = readdir(folder)) != NULL) {
            /* "intel-rapl:0" is a package; "intel-rapl:0:1" a part of it. */
            const char *colon = strchr(entry->d_name, ':');
            bool part = colon != NULL && strchr(colon + 1, ':') != NULL;
            if (begins_with(entry->d_name, METERS[i].entries) && !part) {
                write_counters(text, &METERS[i], entry->d_name, &between);
            }
        }
        if (folder != NULL) {
            (void)closedir(folder);
        }
    }
    text_format(text, "}}");
}

void conditions_write(const struct board *board, struct text *text)
{
    text_format(text, "{\"clock_ns\": %llu", (unsigned long long)now_ns());
    write_governors(board, text);
    write_cores(board, text, "frequencies_khz", "cpufreq/scaling_cur_freq");
    write_cores(board, text, "max_frequencies_khz", "cpufreq/scaling_max_freq");
    write_key(text, "temperature_c");
    facts_write_temperature(text);
    write_throttled(text);
    write_throttle_events(board, text);
    write_load(text);
    write_ticks(board, text);
    write_own(text);
    write_affinity(text);
    write_energy(text);
}
