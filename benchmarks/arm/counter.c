/* Counts the instructions of one stretch of a program that QEMU runs, and samples what it runs.

   A plugin of QEMU's version 1 interface, which no package has a header of: what is used of it is
   declared here. The program marks the stretch by closing a file descriptor that cannot exist:

       0xED6E7301   begin counting
       0xED6E7302   end: writes `run <instructions> <of other threads>`
       0xED6E7303   begin sampling, over as many instructions as the last run had
       0xED6E7304   end sampling

   A sample is a window of consecutive instructions, as the blocks that were run; windows lie evenly
   over the stretch. Written when the program ends: `block <number> <hexadecimal of each
   instruction>` for each block in a window, `window <numbers of blocks>` for each window.

   Arguments: out=FILE, windows=HOW_MANY, length=INSTRUCTIONS_OF_ONE. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

typedef void (*translated)(plugin_id, struct qemu_plugin_tb *);
typedef void (*executed)(unsigned, void *);
typedef void (*called)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t, uint64_t, uint64_t, uint64_t);
typedef void (*ended)(plugin_id, void *);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, translated);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed, int, void *);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, called);
void qemu_plugin_register_atexit_cb(plugin_id, ended, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = 1;

enum { BEGIN = 1, END, BEGIN_SAMPLING, END_SAMPLING, MOST_THREADS = 64 };
static const uint32_t mark = 0xED6E7300u;

struct block {
    uint32_t instructions;
    uint32_t number; /* in the output; 0 as long as no window has it */
    char *text;
};

static FILE *out;
static uint64_t windows = 200, length = 2000;

static int counting, sampling;
static unsigned marked; /* the thread that marks */
static uint64_t counts[MOST_THREADS], last_run;

static uint64_t step, next_window;
static int64_t left_of_window;
static uint32_t *seen; /* numbers of blocks; 0 begins a window */
static size_t seen_count, seen_room;
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

static void sample(struct block *block, uint64_t before)
{
    if (left_of_window <= 0) {
        if (before < next_window)
            return;
        next_window += step;
        left_of_window = (int64_t)length;
        note(0);
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
    if (sampling && thread == marked)
        sample(block, counts[thread % MOST_THREADS]);
    counts[thread % MOST_THREADS] += block->instructions;
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *translation)
{
    size_t count = qemu_plugin_tb_n_insns(translation), size = 1;
    struct block *block = calloc(1, sizeof *block);
    (void)id;
    for (size_t i = 0; i < count; i++)
        size += 1 + 2 * qemu_plugin_insn_size(qemu_plugin_tb_get_insn(translation, i));
    if (!block || !(block->text = malloc(size)))
        abort();
    block->instructions = (uint32_t)count;
    char *at = block->text;
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *one = qemu_plugin_tb_get_insn(translation, i);
        const unsigned char *bytes = qemu_plugin_insn_data(one);
        *at++ = ' ';
        for (size_t j = 0; j < qemu_plugin_insn_size(one); j++)
            at += sprintf(at, "%02x", bytes[j]);
    }
    *at = 0;
    qemu_plugin_register_vcpu_tb_exec_cb(translation, on_block, 0, block);
}

static void begin(unsigned thread)
{
    marked = thread;
    memset(counts, 0, sizeof counts);
    counting = 1;
}

static void on_call(plugin_id id, unsigned thread, int64_t number, uint64_t a1, uint64_t a2,
                    uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)number, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (((uint32_t)a1 & ~0xFFu) != mark)
        return;
    switch ((uint32_t)a1 & 0xFFu) {
    case BEGIN:
        begin(thread);
        break;
    case END: {
        uint64_t others = 0;
        counting = 0;
        for (unsigned i = 0; i < MOST_THREADS; i++)
            others += i == marked % MOST_THREADS ? 0 : counts[i];
        last_run = counts[marked % MOST_THREADS];
        fprintf(out, "run %llu %llu\n", (unsigned long long)last_run, (unsigned long long)others);
        fflush(out);
        break;
    }
    case BEGIN_SAMPLING:
        step = last_run / windows > length ? last_run / windows : length;
        next_window = step > length ? (step - length) / 2 : 0;
        left_of_window = 0;
        sampling = 1;
        begin(thread);
        break;
    case END_SAMPLING:
        counting = sampling = 0;
        break;
    default:
        break;
    }
}

static void on_end(plugin_id id, void *nothing)
{
    (void)id, (void)nothing;
    for (size_t i = 0; i < named_count; i++)
        fprintf(out, "block %u%s\n", named[i]->number, named[i]->text);
    for (size_t i = 0; i < seen_count; i++) {
        if (seen[i])
            fprintf(out, " %u", seen[i]);
        else
            fprintf(out, i ? "\nwindow" : "window");
    }
    fprintf(out, seen_count ? "\n" : "");
    fclose(out);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value)
            return -1;
        value++;
        if (!strncmp(argv[i], "out=", 4))
            out = fopen(value, "w");
        else if (!strncmp(argv[i], "windows=", 8))
            windows = strtoull(value, NULL, 10);
        else if (!strncmp(argv[i], "length=", 7))
            length = strtoull(value, NULL, 10);
    }
    if (!out || !windows || !length)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_call);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
