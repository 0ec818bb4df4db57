/* dit4sr for C: restores and enlarges photos with DiT4SR.
 *
 *     dit4sr_upscaler *upscaler;
 *     dit4sr_pixels photo = {.size = sizeof photo, .data = data, .width = 128, .height = 128, .channels = 3,
 *                            .bits = 8};
 *     dit4sr_pixels restored = {.size = sizeof restored};
 *     if (dit4sr_open(NULL, &upscaler) == DIT4SR_OK) {
 *         if (dit4sr_upscale(upscaler, &photo, NULL, &restored) == DIT4SR_OK) ...
 *         dit4sr_pixels_free(&restored);
 *         dit4sr_close(upscaler, DIT4SR_CLOSE_WAITS);
 *     }
 *
 * Rules that hold everywhere:
 *
 * - A function returns a status, which is the exit code that the commands would end with. What went wrong is
 *   said by dit4sr_last_error(), for each thread.
 * - A structure begins with its own size. Set it, and leave what you do not care about zero: zero is always the
 *   default. That is how fields can be added without breaking who was compiled before.
 * - Text and paths are UTF-8 and end in a zero byte. They are read during the call and not kept.
 * - Every function may be called from any thread, and many may use one upscaler at once.
 * - Nothing is printed, no signal is touched, and the process is never ended.
 *
 * What restores is the Python runtime, in this process: see docs/embedding.md.
 */
#ifndef DIT4SR_H
#define DIT4SR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The release that these sources are of. */
#define DIT4SR_VERSION "0.1.0"

/* The interface. It grows with every field or function that is added; what was there before stays. */
#define DIT4SR_ABI 1

/* -------------------------------------------------------------------------------------------- failures */

typedef enum dit4sr_status {
    DIT4SR_OK = 0,
    DIT4SR_INTERNAL = 1,           /* a fault of ours */
    DIT4SR_BAD_INPUT = 2,          /* wrong usage, or an input that cannot be what it claims to be */
    DIT4SR_MISSING_DEPENDENCY = 3, /* a library, device or environment is not here */
    DIT4SR_INCOMPATIBLE = 4,       /* an engine or bundle does not fit this machine or version */
    DIT4SR_INTEGRITY = 5,          /* a file's bytes are not what they should be */
    DIT4SR_ACCURACY = 6,           /* what an engine has made is no picture */
    DIT4SR_OUT_OF_MEMORY = 7,
    DIT4SR_CANCELLED = 130         /* the caller asked to stop; no failure */
} dit4sr_status;

/* The last failure of this thread. The texts are never NULL, and stay until the thread's next call. */
typedef struct dit4sr_error {
    size_t size;
    dit4sr_status status;
    const char *message;  /* the three below in one line */
    const char *found;    /* what is wrong */
    const char *expected; /* what was expected; may be empty */
    const char *fix;      /* what to do; may be empty */
} dit4sr_error;

const dit4sr_error *dit4sr_last_error(void);

/* ------------------------------------------------------------------------------------ versions, features */

/* DIT4SR_VERSION and DIT4SR_ABI of the sources that were compiled; the header may be another one's. */
const char *dit4sr_version(void);
uint32_t dit4sr_abi(void);

/* 1 if the library has a feature of that name, else 0:
 * "dlpack", "cuda-stream", "16-bit", "progress", "cancel", "log", "estimate", "preset". */
int dit4sr_has_feature(const char *name);

/* ------------------------------------------------------------------------------------------------- log */

typedef enum dit4sr_level { DIT4SR_INFO = 0, DIT4SR_WARNING = 1 } dit4sr_level;

/* Called from any thread; must not raise or jump out. */
typedef void (*dit4sr_log_function)(void *user, dit4sr_level level, const char *line);

/* Who hears what there is to say: why a backend was passed over, what a picture could not keep, and what
 * libraries print into a Python that was started here. NULL is nobody, as it is at first. The one before may
 * still be called by calls that are under way. */
void dit4sr_set_log(dit4sr_log_function log, void *user);

/* ------------------------------------------------------------------------------------- opening, closing */

/* An opened bundle. Not an address but a ticket: once closed it is refused, and nothing is read through it. */
typedef struct dit4sr_upscaler dit4sr_upscaler;

enum {
    DIT4SR_LOW_MEMORY = 1,   /* drop each component when it is done: the largest fits instead of all */
    DIT4SR_FRUGAL = 2,       /* leave quantised weights in the bits they are stored in */
    DIT4SR_NO_CACHE = 4,     /* keep no embeddings of prompts on the disk */
    DIT4SR_TRUST_ENGINES = 8 /* engines are code: let a bundle's run although they were not built here */
};

typedef struct dit4sr_options {
    size_t size;
    const char *bundle;      /* a bundle's folder; NULL is the small model in the box */
    const char *backend;     /* "onnxruntime", "tensorrt", "tensorrt-rtx", "inductor"; NULL is the best */
    const char *device;      /* "cpu" or "cuda"; NULL is what there is */
    const char *environment; /* a virtual environment with dit4sr; NULL is $DIT4SR_ENVIRONMENT, or else the
                                one that these sources were compiled in. A process has one, for good. */
    const char *cache;       /* folder for embeddings of prompts; NULL is the user's */
    uint32_t threads;        /* of one operator on a CPU; 0 is one a core */
    uint32_t flags;          /* of those above */
} dit4sr_options;

/* Open a bundle. options may be NULL. The first call of a process starts Python, unless the host has. */
dit4sr_status dit4sr_open(const dit4sr_options *options, dit4sr_upscaler **upscaler);

typedef enum dit4sr_close_mode {
    DIT4SR_CLOSE_WAITS = 0,  /* calls that are under way end in peace */
    DIT4SR_CLOSE_CANCELS = 1 /* they end as soon as they can, as cancelled */
} dit4sr_close_mode;

/* Close: no new call is let in, and this returns when the last one is out. Not from a callback. */
dit4sr_status dit4sr_close(dit4sr_upscaler *upscaler, dit4sr_close_mode mode);

/* What there is to know of an opened bundle. */
typedef struct dit4sr_card {
    size_t size;
    char name[64];          /* of the network */
    char backend[64];       /* what runs it, and where: "onnxruntime/cpu" */
    char digest[72];        /* SHA-256 of the manifest, which names the digest of every other file */
    uint32_t tile;          /* side of the pictures it was trained with, in pixels of the result */
    uint32_t default_steps;
    double default_guidance;
    uint32_t reads_prompts; /* 1 if prompts are read, 0 if not */
    uint32_t lends_tensors; /* 1 if tensors on its device are taken, 0 if only those on the host */
} dit4sr_card;

dit4sr_status dit4sr_get_card(dit4sr_upscaler *upscaler, dit4sr_card *card);

/* ---------------------------------------------------------------------------------------------- pictures */

/* Levels of a picture, row by row, the channels of a pixel side by side. */
typedef struct dit4sr_pixels {
    size_t size;
    void *data;
    uint32_t width, height;
    uint32_t channels; /* 1 grey, 2 grey with transparency, 3 RGB, 4 RGB with transparency */
    uint32_t bits;     /* 8, or 16 in the machine's order of bytes */
    size_t stride;     /* bytes from a row to the next; 0 is without gaps */
    void *owner;       /* of the library: leave it NULL */
} dit4sr_pixels;

/* Give back what the library has allocated. Pixels of the caller's own are left as they are. */
void dit4sr_pixels_free(dit4sr_pixels *pixels);

/* Stops calls that were given it, from any thread; it stays set. Destroying it is safe while calls use it. */
typedef struct dit4sr_cancel dit4sr_cancel;

dit4sr_status dit4sr_cancel_create(dit4sr_cancel **cancel);
void dit4sr_cancel_set(dit4sr_cancel *cancel);
void dit4sr_cancel_destroy(dit4sr_cancel *cancel);

typedef struct dit4sr_progress {
    size_t size;
    const char *stage;    /* "vae_encoder", "step", "vae_decoder" */
    uint32_t done, total; /* runs of an engine */
} dit4sr_progress;

/* Called in the caller's thread after every run of an engine; anything but 0 cancels. */
typedef int (*dit4sr_progress_function)(void *user, const dit4sr_progress *progress);

/* What is asked of a picture. */
typedef struct dit4sr_request {
    size_t size;
    uint64_t seed;
    const char *prompt;   /* a caption */
    const char *negative; /* what the picture should not be */
    const char *preset;   /* a way to sample, by its name */
    const char *solver;   /* "euler", "ab2", "dpmpp-2m" */
    const char *more;     /* any other field of the Python runtime's Settings, as a JSON object */
    double scale;         /* 0 is 4 */
    double guidance;      /* 0 is the bundle's, 1 is none */
    uint32_t steps;       /* 0 is the bundle's */
    uint32_t tile;        /* side in pixels of the result; 0 is the bundle's */
    dit4sr_progress_function progress;
    void *progress_user;
    dit4sr_cancel *cancel;
} dit4sr_request;

/* Width and height that a picture will have. request may be NULL, here and below. */
dit4sr_status dit4sr_output_size(dit4sr_upscaler *upscaler, const dit4sr_request *request, uint32_t width,
                                 uint32_t height, uint32_t *output_width, uint32_t *output_height);

/* Restore a picture; the same inputs give the same bytes, and the same as Python gives.
 *
 * The output has the input's channels and bits. Where output->data is NULL, the library allocates it and fills
 * in the rest: give it back with dit4sr_pixels_free. Else it is the caller's, and must state the size that
 * dit4sr_output_size says. The input must stay as it is until this returns. */
dit4sr_status dit4sr_upscale(dit4sr_upscaler *upscaler, const dit4sr_pixels *input,
                             const dit4sr_request *request, dit4sr_pixels *output);

/* What a picture would take. */
typedef struct dit4sr_estimate {
    size_t size;
    double seconds;        /* below zero where nothing tells */
    uint64_t memory_bytes; /* of the whole process, at its worst moment */
    uint32_t is_measured;  /* 1 if the engines have run, 0 if the seconds are predicted */
} dit4sr_estimate;

dit4sr_status dit4sr_get_estimate(dit4sr_upscaler *upscaler, const dit4sr_request *request, uint32_t width,
                                  uint32_t height, dit4sr_estimate *estimate);

/* A tensor of DLPack, in its form without version numbers. */
struct DLManagedTensor;

/* Restore a tensor of levels, [height, width] or [height, width, channels] of uint8 or uint16, on the host or
 * on the device of an upscaler that lends tensors; the output is on the same side. stream is the CUDA stream
 * that the input was made on and the output will be read on: whoever reads on it waits, on the device. NULL is
 * the default stream. The input stays the caller's. The output's own deleter gives it back. */
dit4sr_status dit4sr_upscale_tensor(dit4sr_upscaler *upscaler, struct DLManagedTensor *input, void *stream,
                                    const dit4sr_request *request, struct DLManagedTensor **output);

#ifdef __cplusplus
}
#endif

#endif
