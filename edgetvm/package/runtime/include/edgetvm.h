/*
 * edgetvm's minimal runtime: opens an .edgetvm package, checks it, and runs its model.
 *
 * A model is used by one thread at a time; different models are independent of each other.
 * Nothing is allocated after edgetvm_open, and only edgetvm_read_member and edgetvm_verify read the
 * file then.
 * Every function bears null pointers, unknown names and wrong sizes, and answers with a status.
 */
#ifndef EDGETVM_H
#define EDGETVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EDGETVM_API __attribute__((visibility("default")))
#else
#define EDGETVM_API
#endif

/* Where an arena, and memory that is bound to a tensor, must begin: a multiple of so many bytes. */
#define EDGETVM_ALIGNMENT 64
#define EDGETVM_MAX_RANK 16
#define EDGETVM_MAX_THREADS 256
#define EDGETVM_ERROR_BYTES 320

/* The numbers stay as they are; edgetvm-run ends with them. */
typedef enum edgetvm_status {
    EDGETVM_OK = 0,
    EDGETVM_BAD_ARGUMENT = 2,         /* a null pointer, an option that cannot be */
    EDGETVM_NO_SUCH_TENSOR = 3,       /* no input, output or member of that name or index */
    EDGETVM_WRONG_SIZE = 4,           /* not the bytes that a tensor or the arena has */
    EDGETVM_NOT_READY = 5,            /* run before all inputs or the arena were given */
    EDGETVM_SYSTEM_ERROR = 6,         /* a file that cannot be read, a thread that does not start */
    EDGETVM_NO_MEMORY = 7,            /* the system gives no more */
    EDGETVM_NOT_A_PACKAGE = 8,        /* not an .edgetvm file, or cut off */
    EDGETVM_BAD_ARCHIVE = 9,          /* a ZIP archive, but not one of the form of packages */
    EDGETVM_TOO_LARGE = 10,           /* claims more than a package may hold */
    EDGETVM_BAD_MANIFEST = 11,        /* the manifest lacks something, or contradicts itself */
    EDGETVM_OTHER_FORMAT = 12,        /* a format version that this runtime does not read */
    EDGETVM_ALTERED = 13,             /* a member's bytes are not those of its checksum */
    EDGETVM_NEEDS_VM = 14,            /* the model needs TVM's virtual machine */
    EDGETVM_WRONG_ARCHITECTURE = 15,  /* compiled for other processors */
    EDGETVM_MISSING_CPU_FEATURE = 16, /* compiled for a newer processor */
    EDGETVM_BAD_LIBRARY = 17,         /* model.so cannot be loaded safely */
    EDGETVM_MISSING_FUNCTION = 18,    /* model.so needs a function that this runtime lacks */
    EDGETVM_KERNEL_FAILED = 19,       /* a kernel refused its work */
    EDGETVM_WRONG_ANSWER = 20,        /* edgetvm-run: the self-test is off by more than allowed */
    EDGETVM_NOT_TRUSTED = 21          /* edgetvm-run: not signed by the key that was given */
} edgetvm_status;

typedef enum edgetvm_dtype {
    EDGETVM_BOOL,
    EDGETVM_FLOAT16,
    EDGETVM_FLOAT32,
    EDGETVM_FLOAT64,
    EDGETVM_INT8,
    EDGETVM_INT16,
    EDGETVM_INT32,
    EDGETVM_INT64,
    EDGETVM_UINT8,
    EDGETVM_UINT16,
    EDGETVM_UINT32,
    EDGETVM_UINT64
} edgetvm_dtype;

/* An opened model. */
typedef struct edgetvm_model edgetvm_model;

/* One clear sentence: what is wrong, where, and the mend. Ends with a NUL. */
typedef struct edgetvm_error {
    char text[EDGETVM_ERROR_BYTES];
} edgetvm_error;

/* How to open a model. All zero means the default of everything. */
typedef struct edgetvm_config {
    /* That share a run, the caller's included; 0: one for each core that the caller may use. A
       model whose kernels share nothing runs on the caller's alone. */
    uint32_t threads;
    /* How long a waiting thread spins before it sleeps; 0: 50 microseconds. */
    uint32_t spin_us;
    /* Leave it to the system on which cores the other threads run. By default each is kept on a
       core of its own, off the caller's, where there are enough. */
    bool unpinned;
    /* Open without an arena: edgetvm_set_arena gives one when edgetvm_arena_bytes told its size. */
    bool late_arena;
    /* The caller's memory for all tensors, aligned to EDGETVM_ALIGNMENT; null: the model's own. */
    void *arena;
    size_t arena_bytes;
    /* Name of the target (board profile) to take; null: the first that this machine can run. */
    const char *target;
    /* Zero. */
    uint64_t reserved[4];
} edgetvm_config;

/* An input or output. Elements lie in row-major order. */
typedef struct edgetvm_tensor {
    const char *name;
    edgetvm_dtype dtype;
    uint32_t rank;
    int64_t shape[EDGETVM_MAX_RANK];
    size_t size_bytes;
    /* Integers stand for real numbers: scale * (integer - zero_point). */
    bool quantised;
    double scale;
    int64_t zero_point;
    /* A stream's state: the runtime carries it from a run's output to the next run's input. */
    bool state;
} edgetvm_tensor;

/* What an opened package says of itself. Texts live as long as the model. */
typedef struct edgetvm_info {
    const char *name;
    const char *edgetvm_version; /* that wrote it */
    const char *target;          /* name of the board profile */
    const char *architecture;
    const char *reference; /* that the sample's outputs come from; "" where none was asked */
    const char *labels;    /* name of the member with one label a line; null without */
    double tolerance;      /* relative error that the self-test allows */
    bool emulated;         /* compiled for an emulated board */
    bool is_signed;        /* there is a signature; only edgetvm-run --key checks it */
    uint32_t threads;      /* that share a run */
    size_t arena_bytes;
    size_t library_bytes; /* of memory, for code and parameters */
    size_t kernels;       /* that a run calls */
} edgetvm_info;

/* Of this runtime. */
EDGETVM_API const char *edgetvm_version(void);
/* The architecture that this runtime is compiled for, as `uname -m` prints it. */
EDGETVM_API const char *edgetvm_architecture(void);
/* "wrong_architecture" and so on; "unknown" for any other number. */
EDGETVM_API const char *edgetvm_status_name(edgetvm_status status);
/* "float32" and so on; "unknown" for any other number. */
EDGETVM_API const char *edgetvm_dtype_name(edgetvm_dtype dtype);
/* Bytes of an element; 0 for any other number. */
EDGETVM_API size_t edgetvm_dtype_bytes(edgetvm_dtype dtype);

/*
 * Open a package: check it, and load the model of its first target that this machine can run.
 * Members that are not needed for that are checked by edgetvm_read_member, and all at once by
 * edgetvm_verify.
 *
 * path: of a package, or of a program that one was appended to.
 * config: null for the default.
 * model: set to the opened model, or to null.
 * error: what went wrong; may be null.
 */
EDGETVM_API edgetvm_status edgetvm_open(const char *path, const edgetvm_config *config,
                                        edgetvm_model **model, edgetvm_error *error);
/* The same from memory, which must stay as it is until the model is closed. */
EDGETVM_API edgetvm_status edgetvm_open_memory(const void *data, size_t size_bytes,
                                               const edgetvm_config *config, edgetvm_model **model,
                                               edgetvm_error *error);
/* Null is closed already. */
EDGETVM_API void edgetvm_close(edgetvm_model *model);

/* Why the last call that failed did so; "" where none did. */
EDGETVM_API const char *edgetvm_error_text(const edgetvm_model *model);
/* Null for a null model. */
EDGETVM_API const edgetvm_info *edgetvm_get_info(const edgetvm_model *model);

EDGETVM_API size_t edgetvm_input_count(const edgetvm_model *model);
EDGETVM_API size_t edgetvm_output_count(const edgetvm_model *model);
/* By their order in the signature; null beyond its end. */
EDGETVM_API const edgetvm_tensor *edgetvm_input(const edgetvm_model *model, size_t index);
EDGETVM_API const edgetvm_tensor *edgetvm_output(const edgetvm_model *model, size_t index);
EDGETVM_API edgetvm_status edgetvm_find_input(edgetvm_model *model, const char *name,
                                              size_t *index);
EDGETVM_API edgetvm_status edgetvm_find_output(edgetvm_model *model, const char *name,
                                               size_t *index);

/* Memory that a run needs for all its tensors. */
EDGETVM_API edgetvm_status edgetvm_arena_bytes(const edgetvm_model *model, size_t *size_bytes);
/* Use the caller's memory until the model is closed. Forgets inputs and what was bound, and begins
   streams anew. */
EDGETVM_API edgetvm_status edgetvm_set_arena(edgetvm_model *model, void *arena, size_t size_bytes);

/* Copy an input. It stays for the runs to come. */
EDGETVM_API edgetvm_status edgetvm_set_input(edgetvm_model *model, const char *name,
                                             const void *data, size_t size_bytes);
EDGETVM_API edgetvm_status edgetvm_set_input_at(edgetvm_model *model, size_t index,
                                                const void *data, size_t size_bytes);
/* Where an input lies, to be written in place; it counts as given. Null where there is none. */
EDGETVM_API void *edgetvm_input_memory(edgetvm_model *model, size_t index);
/* Read an input from, or write an output to, the caller's memory in the runs to come: aligned to
   EDGETVM_ALIGNMENT. Null binds the arena again. */
EDGETVM_API edgetvm_status edgetvm_bind_input(edgetvm_model *model, size_t index, void *data,
                                              size_t size_bytes);
EDGETVM_API edgetvm_status edgetvm_bind_output(edgetvm_model *model, size_t index, void *data,
                                               size_t size_bytes);

EDGETVM_API edgetvm_status edgetvm_run(edgetvm_model *model);
/* The same on the caller's thread with the time of each kernel: `count` of them, as in the info. */
EDGETVM_API edgetvm_status edgetvm_run_timed(edgetvm_model *model, uint64_t *kernel_ns,
                                             size_t count);
/* Null beyond the last. */
EDGETVM_API const char *edgetvm_kernel_name(const edgetvm_model *model, size_t index);

/* Copy an output of the last run. */
EDGETVM_API edgetvm_status edgetvm_get_output(edgetvm_model *model, const char *name, void *data,
                                              size_t size_bytes);
EDGETVM_API edgetvm_status edgetvm_get_output_at(edgetvm_model *model, size_t index, void *data,
                                                 size_t size_bytes);
/* Where an output lies until the next run; null before the first. */
EDGETVM_API const void *edgetvm_output_memory(edgetvm_model *model, size_t index);

/* Begin the stream anew: states have their initial values again. */
EDGETVM_API edgetvm_status edgetvm_reset_state(edgetvm_model *model);

/*
 * Read a member of the package, and check it again: "sample/input-0.bin", "labels.txt", …
 *
 * data: null to ask for the size alone.
 * size_bytes: of `data`; set to the member's.
 */
EDGETVM_API edgetvm_status edgetvm_read_member(edgetvm_model *model, const char *name, void *data,
                                               size_t *size_bytes);

/* Check every member that edgetvm_open did not: worth its time where a package has just arrived. */
EDGETVM_API edgetvm_status edgetvm_verify(edgetvm_model *model);

#ifdef __cplusplus
}
#endif

#endif
