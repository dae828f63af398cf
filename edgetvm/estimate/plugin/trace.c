/* Watches a program that QEMU runs: counts instructions, simulates caches, samples what is run.

   A plugin of QEMU's interface, which no package has a header of: what is used of it is declared
   here. The program marks stretches by closing a file descriptor that cannot exist:

       0xED6E7301   begin
       0xED6E7302   end

   Caches are simulated inside of stretches and keep their content between them. Windows of
   consecutive instructions lie evenly over a stretch: every other one is dropped, and the distance
   doubled, whenever there are twice as many as are wanted.

   Written to the file, line by line:

       edgetvm-trace 1
       run INSTRUCTIONS OTHERS MISSES…   a stretch: of its thread, of other threads; see `misses`
       window BLOCK…                     of the run before it
       block NUMBER ADDRESS CODE…        of each instruction, in hexadecimal
       end

   Arguments: out=FILE, windows=HOW_MANY, length=INSTRUCTIONS_OF_ONE, host=on to read instructions
   from the program's memory (QEMU before 8 gives those of x86 wrong), and cache=SIZE:WAYS in bytes
   for each level from 1 on; none is simulated without it. */

#define _GNU_SOURCE

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* QEMU 9 took functions of version 1 away, none of which is used here, and refuses it. */
#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif
enum { COPIES_INSTRUCTIONS = 3 }; /* the version from which `qemu_plugin_insn_data` copies */

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint32_t access_info;

struct info {
    const char *target;
    struct {
        int least, current;
    } version;
};

typedef void (*translated)(plugin_id, struct qemu_plugin_tb *);
typedef void (*executed)(unsigned, void *);
typedef void (*accessed)(unsigned, access_info, uint64_t, void *);
typedef void (*called)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t, uint64_t, uint64_t, uint64_t);
typedef void (*ended)(plugin_id, void *);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, translated);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed, int, void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, accessed, int, int, void *);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, called);
void qemu_plugin_register_atexit_cb(plugin_id, ended, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);
bool qemu_plugin_mem_is_store(access_info);
void qemu_plugin_insn_data(void);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

enum { BEGIN = 1, END, MOST_THREADS = 64, NO_REGISTERS = 0, READS_AND_WRITES = 3 };
enum { MOST_LEVELS = 3, MOST_WAYS = 32, LINE_BITS = 6, STREAMS = 32, MOST_CODE = 16 };
enum { VEX2 = 0xC5, VEX3 = 0xC4, EVEX = 0x62, LONGEST_X86 = 15, PAGE = 4096 };
static const uint32_t mark = 0xED6E7300u;

struct block {
    uint64_t address;
    uint32_t instructions;
    uint32_t number; /* in the output; 0 as long as no window has it */
    char *text;
};

static FILE *out;
static uint64_t windows = 16, length = 2000;
static bool from_host;
static int api;

/* --- Caches ---------------------------------------------------------------------------------- */

struct level {
    uint64_t *lines; /* of each set the most recently used first; a line's number + 1 */
    uint64_t sets;
    unsigned ways;
};

static struct level levels[MOST_LEVELS];
static unsigned level_count;
static uint64_t last_line;
/* Lines that streams would miss next, upwards and downwards: a prefetcher asks for these. */
static uint64_t expected[STREAMS][2];
static unsigned next_stream;

/* By the level that had the line, level 2 at first and memory behind the last, for loads and then
   stores: those that a prefetcher could not foresee, and those that it could. */
static uint64_t misses[MOST_LEVELS][2][2];

static bool touch(struct level *level, uint64_t line)
{
    uint64_t *set = level->lines + line % level->sets * level->ways, kept = line + 1;
    for (unsigned way = 0; way < level->ways; way++) {
        uint64_t one = set[way];
        set[way] = kept;
        if (one == line + 1)
            return true;
        kept = one;
    }
    return false;
}

static bool is_foreseen(uint64_t line)
{
    for (unsigned i = 0; i < STREAMS; i++)
        if (expected[i][0] == line || expected[i][1] == line) {
            expected[i][0] = line + 1;
            expected[i][1] = line - 1;
            return true;
        }
    expected[next_stream][0] = line + 1;
    expected[next_stream][1] = line - 1;
    next_stream = (next_stream + 1) % STREAMS;
    return false;
}

static void look_up(uint64_t line, bool store)
{
    unsigned found = 0;
    while (found < level_count && !touch(&levels[found], line))
        found++;
    if (found)
        misses[found - 1][store][is_foreseen(line)]++;
}

/* --- Stretches ------------------------------------------------------------------------------- */

static bool counting;
static unsigned marked; /* the thread that marks */
static uint64_t counts[MOST_THREADS];

static uint64_t step, next_window;
static int64_t left_of_window;
static uint32_t *seen; /* numbers of blocks; 0 begins a window */
static size_t seen_count, seen_room, window_count;
static struct block **named;
static size_t named_count, named_room;

static void *grown(void *memory, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return memory;
    *room = *room ? 2 * *room : 4096;
    memory = realloc(memory, *room * size);
    if (!memory)
        abort();
    return memory;
}

static void note(uint32_t number)
{
    seen = grown(seen, seen_count, &seen_room, sizeof *seen);
    seen[seen_count++] = number;
}

static void drop_every_other_window(void)
{
    size_t kept = 0, window = 0;
    for (size_t i = 0; i < seen_count; i++) {
        window += seen[i] == 0;
        if (window % 2)
            seen[kept++] = seen[i];
    }
    seen_count = kept;
    window_count = (window_count + 1) / 2;
    step *= 2;
}

static void begin_window(void)
{
    if (window_count == 2 * windows)
        drop_every_other_window();
    next_window += step;
    left_of_window = (int64_t)length;
    window_count++;
    note(0);
}

static void sample(struct block *block, uint64_t before)
{
    if (left_of_window <= 0) {
        if (before < next_window)
            return;
        begin_window();
    }
    if (!block->number) {
        named = grown(named, named_count, &named_room, sizeof *named);
        named[named_count++] = block;
        block->number = (uint32_t)named_count;
    }
    note(block->number);
    left_of_window -= block->instructions;
}

static void on_block(unsigned thread, void *data)
{
    struct block *block = data;
    if (!counting)
        return;
    if (thread == marked)
        sample(block, counts[thread % MOST_THREADS]);
    counts[thread % MOST_THREADS] += block->instructions;
}

static void on_access(unsigned thread, access_info info, uint64_t address, void *nothing)
{
    uint64_t line = address >> LINE_BITS;
    (void)nothing;
    if (line == last_line || !counting || thread != marked)
        return;
    last_line = line;
    look_up(line, qemu_plugin_mem_is_store(info));
}

static void begin(unsigned thread)
{
    marked = thread;
    memset(counts, 0, sizeof counts);
    memset(misses, 0, sizeof misses);
    step = length;
    next_window = 0;
    left_of_window = 0;
    seen_count = window_count = 0;
    counting = true;
}

static void write_run(void)
{
    uint64_t others = 0, all = 0;
    for (unsigned i = 0; i < MOST_THREADS; i++)
        all += counts[i];
    others = all - counts[marked % MOST_THREADS];
    fprintf(out, "run %llu %llu", (unsigned long long)(all - others), (unsigned long long)others);
    for (unsigned level = 0; level < level_count; level++)
        for (unsigned kind = 0; kind < 4; kind++)
            fprintf(out, " %llu", (unsigned long long)misses[level][kind / 2][kind % 2]);
    for (size_t i = 0; i < seen_count; i++) {
        if (seen[i])
            fprintf(out, " %u", seen[i]);
        else
            fputs("\nwindow", out);
    }
    fputc('\n', out);
}

static void on_call(plugin_id id, unsigned thread, int64_t number, uint64_t a1, uint64_t a2,
                    uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)number, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (((uint32_t)a1 & ~0xFFu) != mark)
        return;
    if (((uint32_t)a1 & 0xFFu) == BEGIN) {
        begin(thread);
    } else if (((uint32_t)a1 & 0xFFu) == END && counting) {
        counting = false;
        write_run();
    }
}

/* --- Code ------------------------------------------------------------------------------------ */

typedef const void *data_of(const struct qemu_plugin_insn *);
typedef size_t copy_of(const struct qemu_plugin_insn *, void *, size_t);

static size_t told_code(const struct qemu_plugin_insn *one, unsigned char *code)
{
    size_t size = qemu_plugin_insn_size(one);
    size = size < MOST_CODE ? size : MOST_CODE;
    void (*function)(void) = qemu_plugin_insn_data;
    if (api >= COPIES_INSTRUCTIONS)
        return ((copy_of *)function)(one, code, size);
    memcpy(code, ((data_of *)function)(one), size);
    return size;
}

/* Where the last instruction of a block ends is not known if it is a vector instruction or lies
   across pages: then as many bytes are told as the longest has. Not all of them need be mapped. */
static size_t code_in_memory(const struct qemu_plugin_tb *translation, size_t at,
                             unsigned char *code)
{
    const struct qemu_plugin_insn *one = qemu_plugin_tb_get_insn(translation, at);
    unsigned char *memory = qemu_plugin_insn_haddr(one);
    size_t size = qemu_plugin_insn_size(one);
    if (at + 1 < qemu_plugin_tb_n_insns(translation))
        size = (size_t)(qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(translation, at + 1)) -
                        qemu_plugin_insn_vaddr(one));
    else if (*memory == VEX2 || *memory == VEX3 || *memory == EVEX ||
             (uintptr_t)memory % PAGE > PAGE - LONGEST_X86)
        size = LONGEST_X86;
    struct iovec from = {memory, size < MOST_CODE ? size : MOST_CODE}, to = {code, MOST_CODE};
    ssize_t got = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
    return got > 0 ? (size_t)got : 0;
}

static char *code_text(const struct qemu_plugin_tb *translation)
{
    size_t count = qemu_plugin_tb_n_insns(translation);
    char *text = malloc(count * (1 + 2 * MOST_CODE) + 1), *at = text;
    if (!text)
        abort();
    for (size_t i = 0; i < count; i++) {
        unsigned char code[MOST_CODE];
        size_t size = from_host ? code_in_memory(translation, i, code)
                                : told_code(qemu_plugin_tb_get_insn(translation, i), code);
        *at++ = ' ';
        for (size_t j = 0; j < size; j++)
            at += sprintf(at, "%02x", code[j]);
    }
    *at = 0;
    return text;
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *translation)
{
    struct block *block = calloc(1, sizeof *block);
    (void)id;
    if (!block)
        abort();
    block->instructions = (uint32_t)qemu_plugin_tb_n_insns(translation);
    block->address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(translation, 0));
    block->text = code_text(translation);
    qemu_plugin_register_vcpu_tb_exec_cb(translation, on_block, NO_REGISTERS, block);
    for (size_t i = 0; level_count && i < block->instructions; i++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(translation, i), on_access,
                                         NO_REGISTERS, READS_AND_WRITES, NULL);
}

static void on_end(plugin_id id, void *nothing)
{
    (void)id, (void)nothing;
    for (size_t i = 0; i < named_count; i++)
        fprintf(out, "block %u %llx%s\n", named[i]->number, (unsigned long long)named[i]->address,
                named[i]->text);
    fputs("end\n", out);
    fclose(out);
}

/* --- Arguments ------------------------------------------------------------------------------- */

static bool add_level(uint64_t size, uint64_t ways)
{
    struct level *level = &levels[level_count];
    if (level_count == MOST_LEVELS || !ways || ways > MOST_WAYS || size >> LINE_BITS < ways)
        return false;
    level->ways = (unsigned)ways;
    level->sets = (size >> LINE_BITS) / ways;
    level->lines = calloc(level->sets * ways, sizeof *level->lines);
    level_count++;
    return level->lines != NULL;
}

static bool read_level(char *text)
{
    uint64_t size = strtoull(text, &text, 10);
    uint64_t ways = *text == ':' ? strtoull(text + 1, &text, 10) : 0;
    return !*text && add_level(size, ways);
}

static bool read_argument(const char *name, char *value)
{
    if (!strcmp(name, "out"))
        return (out = fopen(value, "w")) != NULL;
    if (!strcmp(name, "windows"))
        return (windows = strtoull(value, NULL, 10)) > 0;
    if (!strcmp(name, "length"))
        return (length = strtoull(value, NULL, 10)) > 0;
    if (!strcmp(name, "host"))
        return from_host = true;
    return !strcmp(name, "cache") && read_level(value);
}

EXPORT int qemu_plugin_install(plugin_id id, const struct info *info, int argc, char **argv)
{
    if (info->version.least > PLUGIN_VERSION || info->version.current < PLUGIN_VERSION) {
        fprintf(stderr, "edgetvm: this plugin is for version %d of QEMU's plugin interface\n",
                PLUGIN_VERSION);
        return -1;
    }
    api = info->version.current;
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value)
            return -1;
        *value++ = 0;
        if (!read_argument(argv[i], value)) {
            fprintf(stderr, "edgetvm: the plugin cannot take %s=%s\n", argv[i], value);
            return -1;
        }
    }
    if (!out)
        return -1;
    fputs("edgetvm-trace 1\n", out);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_call);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
