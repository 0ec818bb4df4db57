/* The C interface: what a structure holds becomes a call of dit4sr.runtime.native, and its answer a status.
 *
 * Two locks are in play, Python's and ours. Ours is never held while Python's is waited for; so whoever holds
 * Python's may wait for ours.
 */
#define _GNU_SOURCE /* dladdr */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dit4sr.h"

#ifdef _WIN32
#error "dit4sr for C has been written for Linux and macOS"
#endif

#ifndef DIT4SR_ENVIRONMENT
#define DIT4SR_ENVIRONMENT ""
#endif

enum { LONGEST_MESSAGE = 2048, LONGEST_PART = 1024, LARGEST_STRUCTURE = 4096, LONGEST_PATH = 4096 };

/* ------------------------------------------------------------------------------------- the last failure */

static _Thread_local struct {
    char message[LONGEST_MESSAGE], found[LONGEST_PART], expected[LONGEST_PART], fix[LONGEST_PART];
    dit4sr_error error;
} last;

/* Copy text; a character that has no room goes as a whole. */
static void copy_text(char *target, size_t room, const char *text)
{
    size_t length = strlen(text);
    if (length >= room) {
        length = room - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
            length--;
    }
    memcpy(target, text, length);
    target[length] = 0;
}

static dit4sr_status report(int status, const char *message, const char *found, const char *expected,
                            const char *fix)
{
    copy_text(last.message, sizeof last.message, message);
    copy_text(last.found, sizeof last.found, found);
    copy_text(last.expected, sizeof last.expected, expected);
    copy_text(last.fix, sizeof last.fix, fix);
    last.error.status = (dit4sr_status)status;
    return last.error.status;
}

static dit4sr_status fail(dit4sr_status status, const char *found, const char *expected, const char *fix)
{
    char message[LONGEST_MESSAGE];
    snprintf(message, sizeof message, "%s%s%s%s%s", found, *expected ? "; expected " : "", expected,
             *fix ? "; " : "", fix);
    return report(status, message, found, expected, fix);
}

static dit4sr_status misuse(const char *found, const char *expected, const char *fix)
{
    return fail(DIT4SR_BAD_INPUT, found, expected, fix);
}

static dit4sr_status out_of_memory(void)
{
    return fail(DIT4SR_OUT_OF_MEMORY, "memory ran out", "", "close other programs, or take smaller pictures");
}

static dit4sr_status cancelled(void)
{
    return report(DIT4SR_CANCELLED, "cancelled", "cancelled", "", "");
}

const dit4sr_error *dit4sr_last_error(void)
{
    last.error.size = sizeof last.error;
    last.error.message = last.message;
    last.error.found = last.found;
    last.error.expected = last.expected;
    last.error.fix = last.fix;
    return &last.error;
}

/* -------------------------------------------------------------------------------- versions and structures */

const char *dit4sr_version(void) { return DIT4SR_VERSION; }

uint32_t dit4sr_abi(void) { return DIT4SR_ABI; }

int dit4sr_has_feature(const char *name)
{
    static const char *const features[] = {"dlpack", "cuda-stream", "16-bit",   "progress",
                                           "cancel", "log",         "estimate", "preset"};
    for (size_t i = 0; name && i < sizeof features / sizeof *features; i++)
        if (strcmp(name, features[i]) == 0)
            return 1;
    return 0;
}

/* Read a caller's structure into ours, which may be longer or shorter. What is missing is zero; what we do not
 * know must be. */
static dit4sr_status read_structure(const void *theirs, void *ours, size_t size, const char *name)
{
    size_t stated;
    char found[160];
    if (!theirs) {
        snprintf(found, sizeof found, "%s is NULL", name);
        return misuse(found, "its address", "");
    }
    memcpy(&stated, theirs, sizeof stated);
    /* No compiler makes one of another size; and one that ended within a pointer would leave half of it. */
    if (stated < sizeof stated || stated > LARGEST_STRUCTURE || stated % sizeof stated) {
        snprintf(found, sizeof found, "the size of %s is %zu", name, stated);
        return misuse(found, "that of the structure", "set its field size to sizeof");
    }
    for (size_t i = size; i < stated; i++)
        if (((const char *)theirs)[i]) {
            snprintf(found, sizeof found, "%s sets fields that this version does not know", name);
            return misuse(found, "zero there", "update dit4sr");
        }
    memset(ours, 0, size);
    memcpy(ours, theirs, stated < size ? stated : size);
    return DIT4SR_OK;
}

/* Write our structure into a caller's, as far as theirs goes; its size stays. */
static void write_structure(void *theirs, const void *ours, size_t size)
{
    size_t stated;
    memcpy(&stated, theirs, sizeof stated);
    size = stated < size ? stated : size;
    memcpy((char *)theirs + sizeof stated, (const char *)ours + sizeof stated, size - sizeof stated);
}

/* ------------------------------------------------------------------------------------------------- log */

static struct {
    pthread_mutex_t lock;
    dit4sr_log_function function;
    void *user;
} listener = {PTHREAD_MUTEX_INITIALIZER, NULL, NULL};

void dit4sr_set_log(dit4sr_log_function log, void *user)
{
    pthread_mutex_lock(&listener.lock);
    listener.function = log;
    listener.user = user;
    pthread_mutex_unlock(&listener.lock);
}

static PyObject *say(PyObject *self, PyObject *arguments)
{
    int level;
    const char *line;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "is", &level, &line))
        return NULL;
    pthread_mutex_lock(&listener.lock);
    dit4sr_log_function function = listener.function;
    void *user = listener.user;
    pthread_mutex_unlock(&listener.lock);
    if (function) {
        Py_BEGIN_ALLOW_THREADS
        function(user, (dit4sr_level)level, line);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

/* ----------------------------------------------------------------------------------------------- Python */

static struct {
    pthread_mutex_t lock;
    atomic_int process; /* that Python was started in; 0 before */
    bool is_ours;       /* or else the host's */
    char environment[LONGEST_PATH];
    PyObject *door; /* under Python's lock */
} python = {.lock = PTHREAD_MUTEX_INITIALIZER};

static dit4sr_status refuse_fork(void)
{
    int process = atomic_load(&python.process);
    if (process && process != (int)getpid())
        return misuse("this process is a fork of one that had opened dit4sr", "one that opens it itself",
                      "fork before the first dit4sr_open, or start another program");
    return DIT4SR_OK;
}

/* NumPy's extension modules take Python's symbols from what is global. A host that has loaded us by itself
 * (RTLD_LOCAL) has Python's library for itself too: so it is made global. And neither it nor we can be unloaded
 * from under a Python that is never ended. */
static void keep_loaded(void)
{
    union {
        int (*function)(void);
        uint32_t (*ours)(void);
        void *address;
    } of_python = {.function = Py_IsInitialized}, of_us = {.ours = dit4sr_abi};
    Dl_info place;
    if (dladdr(of_python.address, &place) && place.dli_fname)
        (void)dlopen(place.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD | RTLD_NODELETE);
    if (dladdr(of_us.address, &place) && place.dli_fname)
        (void)dlopen(place.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

static dit4sr_status broken_start(PyStatus status)
{
    char found[LONGEST_PART];
    snprintf(found, sizeof found, "Python did not start (%s)", status.err_msg ? status.err_msg : "no reason");
    return fail(DIT4SR_MISSING_DEPENDENCY, found, "a virtual environment of Python " PY_VERSION,
                "name one in the options, or in DIT4SR_ENVIRONMENT");
}

/* Start Python as the program of an environment would be, but deaf to the host's variables and signals. */
static dit4sr_status start_python(const char *environment)
{
    static const char *const programs[] = {"bin/python3", "bin/python"};
    char program[LONGEST_PATH + 16] = "", found[LONGEST_PART];
    for (size_t i = 0; i < 2; i++) {
        snprintf(program, sizeof program, "%s/%s", environment, programs[i]);
        if (access(program, X_OK) == 0)
            break;
        *program = 0;
    }
    if (!*program) {
        snprintf(found, sizeof found, "%.900s has no bin/python", *environment ? environment : "no environment");
        return fail(DIT4SR_MISSING_DEPENDENCY, found, "a virtual environment with dit4sr",
                    "name one in the options, or in DIT4SR_ENVIRONMENT");
    }
    keep_loaded();
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    PyStatus status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status))
        return broken_start(status);
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    status = PyConfig_SetBytesString(&config, &config.program_name, program);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesString(&config, &config.executable, program);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        return broken_start(status);
    python.is_ours = true;
    copy_text(python.environment, sizeof python.environment, environment);
    PyEval_SaveThread(); /* to be taken by whoever calls */
    return DIT4SR_OK;
}

static dit4sr_status ensure_python(const char *asked)
{
    const char *environment = asked ? asked : getenv("DIT4SR_ENVIRONMENT");
    environment = environment && *environment ? environment : DIT4SR_ENVIRONMENT;
    if (strlen(environment) >= LONGEST_PATH)
        return misuse("the environment's path is too long", "4095 bytes at most", "");
    dit4sr_status status = DIT4SR_OK;
    pthread_mutex_lock(&python.lock);
    if (!Py_IsInitialized())
        status = start_python(environment);
    else if (asked && python.is_ours && strcmp(asked, python.environment) != 0)
        status = misuse("another environment than the one Python was started in", python.environment,
                        "use one environment in a process");
    else if (!atomic_load(&python.process))
        keep_loaded();
    if (status == DIT4SR_OK)
        atomic_store(&python.process, (int)getpid());
    pthread_mutex_unlock(&python.lock);
    return status;
}

/* The answer that Python gave, or the failure; takes the answer over. With Python's lock held. */
static dit4sr_status taken(PyObject *answer, PyObject **value)
{
    int code;
    const char *message, *found, *expected, *fix;
    *value = NULL;
    if (answer && PyTuple_Check(answer) && PyTuple_GET_SIZE(answer) == 1) {
        *value = Py_NewRef(PyTuple_GET_ITEM(answer, 0));
        Py_DECREF(answer);
        return DIT4SR_OK;
    }
    dit4sr_status status;
    if (answer && PyArg_ParseTuple(answer, "issss", &code, &message, &found, &expected, &fix))
        status = report(code, message, found, expected, fix);
    else if (PyErr_ExceptionMatches(PyExc_MemoryError))
        status = out_of_memory();
    else
        status = fail(DIT4SR_INTERNAL, "Python failed without a word", "", "please report it");
    PyErr_Clear();
    Py_XDECREF(answer);
    return status;
}

/* Load the door, once. With Python's lock held. */
static dit4sr_status open_door(const char *environment)
{
    static PyMethodDef saying = {"say", say, METH_VARARGS, NULL};
    if (python.door)
        return DIT4SR_OK;
    if (!python.is_ours && environment) {
        /* A host's own Python finds its modules as it does, and after those in the environment. */
        PyObject *site = PyImport_ImportModule("site"), *done = NULL;
        char folder[LONGEST_PATH + 64];
        snprintf(folder, sizeof folder, "%s/lib/python%d.%d/site-packages", environment, PY_MAJOR_VERSION,
                 PY_MINOR_VERSION);
        if (site)
            done = PyObject_CallMethod(site, "addsitedir", "s", folder);
        Py_XDECREF(site);
        Py_XDECREF(done);
        PyErr_Clear();
    }
    PyObject *door = PyImport_ImportModule("dit4sr.runtime.native.door");
    if (!door) {
        char found[LONGEST_PART];
        bool is_absent = PyErr_ExceptionMatches(PyExc_ImportError);
        PyErr_Clear();
        snprintf(found, sizeof found, "the environment %.800s has no dit4sr that can be loaded",
                 python.is_ours ? python.environment : "of this program's Python");
        return fail(is_absent ? DIT4SR_MISSING_DEPENDENCY : DIT4SR_INTERNAL, found,
                    "dit4sr and an engine for Python " PY_VERSION, "pip install 'dit4sr[cpu]' there");
    }
    PyObject *function = PyCFunction_New(&saying, NULL), *value;
    PyObject *answer = function ? PyObject_CallMethod(door, "begin", "iOi", DIT4SR_ABI, function, python.is_ours) : NULL;
    Py_XDECREF(function);
    dit4sr_status status = taken(answer, &value);
    Py_XDECREF(value);
    if (status == DIT4SR_OK)
        python.door = Py_NewRef(door);
    Py_DECREF(door);
    return status;
}

/* --------------------------------------------------------------------------------------------- upscalers */

typedef struct session {
    uintptr_t ticket;
    PyObject *object;
    size_t calls;
    bool is_closing;
    atomic_bool is_cancelled;
    struct session *next;
} session;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t call_ended;
    session *first;
    uintptr_t issued;
} sessions = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0};

struct dit4sr_cancel {
    atomic_bool is_set;
    atomic_int users;
};

/* A call under way. A thread may make one within a callback of another. */
typedef struct call {
    session *of;
    dit4sr_request request;
    bool is_stopped;
    struct call *outer;
} call;

static _Thread_local call *innermost;

static session *found_session(const dit4sr_upscaler *upscaler)
{
    for (session *each = sessions.first; each; each = each->next)
        if (each->ticket == (uintptr_t)upscaler && !each->is_closing)
            return each;
    return NULL;
}

static dit4sr_status not_open(void)
{
    return misuse("the upscaler is closed, or was never opened", "one that dit4sr_open has given", "open another");
}

static void release_cancel(dit4sr_cancel *cancel)
{
    if (cancel && atomic_fetch_sub(&cancel->users, 1) == 1)
        free(cancel);
}

static dit4sr_status begin_call(call *self, dit4sr_upscaler *upscaler, const dit4sr_request *request)
{
    memset(self, 0, sizeof *self);
    dit4sr_status status = refuse_fork();
    if (status == DIT4SR_OK && request)
        status = read_structure(request, &self->request, sizeof self->request, "the request");
    if (status != DIT4SR_OK)
        return status;
    pthread_mutex_lock(&sessions.lock);
    if ((self->of = found_session(upscaler)))
        self->of->calls++;
    pthread_mutex_unlock(&sessions.lock);
    if (!self->of)
        return not_open();
    if (self->request.cancel)
        atomic_fetch_add(&self->request.cancel->users, 1);
    self->outer = innermost;
    innermost = self;
    return DIT4SR_OK;
}

static dit4sr_status end_call(call *self, dit4sr_status status)
{
    innermost = self->outer;
    release_cancel(self->request.cancel);
    pthread_mutex_lock(&sessions.lock);
    self->of->calls--;
    pthread_cond_broadcast(&sessions.call_ended);
    pthread_mutex_unlock(&sessions.lock);
    return status;
}

static bool is_cancelled(const call *self)
{
    return self->is_stopped || atomic_load(&self->of->is_cancelled) ||
           (self->request.cancel && atomic_load(&self->request.cancel->is_set));
}

static dit4sr_upscaler *new_ticket(PyObject *object)
{
    session *opened = calloc(1, sizeof *opened);
    if (!opened)
        return NULL;
    atomic_init(&opened->is_cancelled, false);
    opened->object = object;
    pthread_mutex_lock(&sessions.lock);
    opened->ticket = ++sessions.issued;
    opened->next = sessions.first;
    sessions.first = opened;
    pthread_mutex_unlock(&sessions.lock);
    return (dit4sr_upscaler *)opened->ticket;
}

dit4sr_status dit4sr_open(const dit4sr_options *options, dit4sr_upscaler **upscaler)
{
    dit4sr_options asked = {.size = sizeof asked};
    dit4sr_status status = refuse_fork();
    if (status == DIT4SR_OK && !upscaler)
        status = misuse("the place for the upscaler is NULL", "its address", "");
    if (status != DIT4SR_OK)
        return status;
    *upscaler = NULL;
    if (options)
        status = read_structure(options, &asked, sizeof asked, "the options");
    if (status == DIT4SR_OK)
        status = ensure_python(asked.environment);
    if (status != DIT4SR_OK)
        return status;
    PyGILState_STATE lock = PyGILState_Ensure();
    status = open_door(asked.environment);
    if (status == DIT4SR_OK) {
        PyObject *object, *answer =
            PyObject_CallMethod(python.door, "open_bundle", "({sysysysysIsI})", "bundle", asked.bundle, "backend",
                                asked.backend, "device", asked.device, "cache", asked.cache, "threads",
                                asked.threads, "flags", asked.flags);
        status = taken(answer, &object);
        if (status == DIT4SR_OK && !(*upscaler = new_ticket(object))) {
            Py_DECREF(object);
            status = out_of_memory();
        }
    }
    PyGILState_Release(lock);
    return status;
}

static bool is_within_call_of(const session *closing)
{
    for (const call *each = innermost; each; each = each->outer)
        if (each->of == closing)
            return true;
    return false;
}

dit4sr_status dit4sr_close(dit4sr_upscaler *upscaler, dit4sr_close_mode mode)
{
    dit4sr_status status = refuse_fork();
    if (status == DIT4SR_OK && mode != DIT4SR_CLOSE_WAITS && mode != DIT4SR_CLOSE_CANCELS)
        status = misuse("no such way to close", "DIT4SR_CLOSE_WAITS or DIT4SR_CLOSE_CANCELS", "");
    if (status != DIT4SR_OK)
        return status;
    /* The calls that are waited for need Python's lock to end; a host's thread may hold it. */
    PyThreadState *holder = atomic_load(&python.process) && PyGILState_Check() ? PyEval_SaveThread() : NULL;
    pthread_mutex_lock(&sessions.lock);
    session *closing = found_session(upscaler);
    if (!closing)
        status = not_open();
    else if (is_within_call_of(closing))
        status = misuse("an upscaler is to be closed by one of its own callbacks", "a close after the call",
                        "cancel the call, and close when it has returned");
    else {
        closing->is_closing = true;
        if (mode == DIT4SR_CLOSE_CANCELS)
            atomic_store(&closing->is_cancelled, true);
        while (closing->calls)
            pthread_cond_wait(&sessions.call_ended, &sessions.lock);
        session **place = &sessions.first;
        while (*place != closing)
            place = &(*place)->next;
        *place = closing->next;
    }
    pthread_mutex_unlock(&sessions.lock);
    if (holder)
        PyEval_RestoreThread(holder);
    if (status != DIT4SR_OK)
        return status;
    PyGILState_STATE lock = PyGILState_Ensure();
    PyObject *value;
    status = taken(PyObject_CallMethod(closing->object, "close", NULL), &value);
    Py_XDECREF(value);
    Py_DECREF(closing->object);
    PyGILState_Release(lock);
    free(closing);
    return status;
}

/* ------------------------------------------------------------------------------------ requests, callbacks */

dit4sr_status dit4sr_cancel_create(dit4sr_cancel **cancel)
{
    if (!cancel)
        return misuse("the place for the cancel is NULL", "its address", "");
    if (!(*cancel = malloc(sizeof **cancel)))
        return out_of_memory();
    atomic_init(&(*cancel)->is_set, false);
    atomic_init(&(*cancel)->users, 1);
    return DIT4SR_OK;
}

void dit4sr_cancel_set(dit4sr_cancel *cancel)
{
    if (cancel)
        atomic_store(&cancel->is_set, true);
}

void dit4sr_cancel_destroy(dit4sr_cancel *cancel) { release_cancel(cancel); }

static const char CALL[] = "dit4sr.call";

static PyObject *tell_progress(PyObject *self, PyObject *arguments)
{
    call *under_way = PyCapsule_GetPointer(self, CALL);
    dit4sr_progress progress = {.size = sizeof progress};
    if (!under_way || !PyArg_ParseTuple(arguments, "sII", &progress.stage, &progress.done, &progress.total))
        return NULL;
    int answer = 0;
    Py_BEGIN_ALLOW_THREADS
    answer = under_way->request.progress(under_way->request.progress_user, &progress);
    Py_END_ALLOW_THREADS
    under_way->is_stopped = under_way->is_stopped || answer;
    Py_RETURN_NONE;
}

static PyObject *ask_whether_cancelled(PyObject *self, PyObject *nothing)
{
    const call *under_way = PyCapsule_GetPointer(self, CALL);
    (void)nothing;
    return under_way ? PyBool_FromLong(is_cancelled(under_way)) : NULL;
}

/* A request as Python's keywords; what is zero is left to the other side. */
static PyObject *wishes(const dit4sr_request *request)
{
    return Py_BuildValue("{sKsysysysysysdsdsIsI}", "seed", (unsigned long long)request->seed, "prompt",
                         request->prompt, "negative", request->negative, "preset", request->preset, "solver",
                         request->solver, "more", request->more, "scale", request->scale, "guidance",
                         request->guidance, "steps", request->steps, "tile", request->tile);
}

/* Call a method of an upscaler on a picture or tensor; takes the picture over. With Python's lock held. */
static dit4sr_status restore(call *self, const char *method, PyObject *picture, PyObject *target, PyObject **value)
{
    static PyMethodDef telling = {"progress", tell_progress, METH_VARARGS, NULL};
    static PyMethodDef asking = {"is_cancelled", ask_whether_cancelled, METH_NOARGS, NULL};
    PyObject *capsule = PyCapsule_New(self, CALL, NULL), *answer = NULL;
    PyObject *asked = wishes(&self->request);
    PyObject *progress = capsule && self->request.progress ? PyCFunction_New(&telling, capsule) : Py_NewRef(Py_None);
    PyObject *cancel = capsule ? PyCFunction_New(&asking, capsule) : NULL;
    if (picture && target && asked && progress && cancel)
        answer = PyObject_CallMethod(self->of->object, method, "OOOOO", picture, target, asked, progress, cancel);
    dit4sr_status status = taken(answer, value);
    Py_XDECREF(cancel);
    Py_XDECREF(progress);
    Py_XDECREF(asked);
    Py_XDECREF(capsule);
    Py_XDECREF(target);
    Py_XDECREF(picture);
    return status;
}

/* ---------------------------------------------------------------------------------------------- pictures */

static size_t row_bytes(const dit4sr_pixels *pixels)
{
    return (size_t)pixels->width * pixels->channels * (pixels->bits / 8);
}

/* Hold what pixels say of themselves together; a stride of zero becomes the one that is meant. */
static dit4sr_status check_pixels(dit4sr_pixels *pixels, const char *name)
{
    char found[160];
    if (pixels->channels < 1 || pixels->channels > 4)
        snprintf(found, sizeof found, "%s: %u channels", name, pixels->channels);
    else if (pixels->bits != 8 && pixels->bits != 16)
        snprintf(found, sizeof found, "%s: %u bits", name, pixels->bits);
    else if (!pixels->width || !pixels->height || pixels->width > INT32_MAX || pixels->height > INT32_MAX)
        snprintf(found, sizeof found, "%s: %u×%u pixels", name, pixels->width, pixels->height);
    else {
        size_t least = row_bytes(pixels);
        pixels->stride = pixels->stride ? pixels->stride : least;
        if (pixels->stride < least || pixels->stride % (pixels->bits / 8) ||
            pixels->stride > (size_t)PY_SSIZE_T_MAX / pixels->height)
            snprintf(found, sizeof found, "%s: a stride of %zu bytes for rows of %zu", name, pixels->stride, least);
        else if ((uintptr_t)pixels->data % (pixels->bits / 8))
            snprintf(found, sizeof found, "%s: 16 bits at an odd address", name);
        else
            return DIT4SR_OK;
    }
    return misuse(found, "1 to 4 channels of 8 or 16 bits, rows within their stride", "");
}

static size_t span(const dit4sr_pixels *pixels)
{
    return pixels->stride * (pixels->height - 1) + row_bytes(pixels);
}

/* What the restored picture has to fit: nothing, or the caller's own pixels. */
static PyObject *form_of(const dit4sr_pixels *pixels)
{
    if (!pixels->data)
        return Py_NewRef(Py_None);
    return Py_BuildValue("(IIII)", pixels->width, pixels->height, pixels->channels, pixels->bits);
}

/* Copy what Python has made into the pixels, which are allocated where they are not the caller's. */
static dit4sr_status fill_pixels(PyObject *restored, dit4sr_pixels *output)
{
    Py_buffer made;
    PyObject *memory = PyObject_GetAttrString(restored, "memory");
    dit4sr_pixels form = *output;
    PyObject *stated = PyObject_GetAttrString(restored, "form");
    dit4sr_status status = DIT4SR_INTERNAL;
    bool is_read = memory && stated &&
                   PyArg_ParseTuple(stated, "IIII", &form.width, &form.height, &form.channels, &form.bits) &&
                   PyObject_GetBuffer(memory, &made, PyBUF_SIMPLE) == 0;
    if (is_read) {
        size_t row = row_bytes(&form);
        if (!form.data) {
            form.owner = form.data = malloc((size_t)made.len);
            form.stride = row;
        }
        if (!form.data || (size_t)made.len != row * form.height)
            status = out_of_memory();
        else {
            Py_BEGIN_ALLOW_THREADS
            for (size_t y = 0; y < form.height; y++)
                memcpy((char *)form.data + y * form.stride, (const char *)made.buf + y * row, row);
            Py_END_ALLOW_THREADS
            *output = form;
            status = DIT4SR_OK;
        }
        PyBuffer_Release(&made);
    } else
        status = taken(NULL, &memory);
    Py_XDECREF(stated);
    Py_XDECREF(memory);
    return status;
}

dit4sr_status dit4sr_upscale(dit4sr_upscaler *upscaler, const dit4sr_pixels *input, const dit4sr_request *request,
                             dit4sr_pixels *output)
{
    dit4sr_pixels source, target;
    dit4sr_status status = read_structure(input, &source, sizeof source, "the input");
    if (status == DIT4SR_OK)
        status = read_structure(output, &target, sizeof target, "the output");
    if (status == DIT4SR_OK && !source.data)
        status = misuse("the input's data is NULL", "the address of its levels", "");
    if (status == DIT4SR_OK && target.owner)
        status = misuse("the output still owns a picture", "an empty one, or the caller's own",
                        "free it with dit4sr_pixels_free");
    if (status == DIT4SR_OK)
        status = check_pixels(&source, "the input");
    if (status == DIT4SR_OK && target.data)
        status = check_pixels(&target, "the output");
    if (status == DIT4SR_OK && !target.data && output->size < sizeof target)
        status = misuse("the output's structure has no room for who owns its data", "all of its fields",
                        "set its field size to sizeof");
    call self;
    if (status == DIT4SR_OK)
        status = begin_call(&self, upscaler, request);
    if (status != DIT4SR_OK)
        return status;
    if (is_cancelled(&self))
        return end_call(&self, cancelled());
    PyGILState_STATE lock = PyGILState_Ensure();
    PyObject *view = PyMemoryView_FromMemory(source.data, (Py_ssize_t)span(&source), PyBUF_READ);
    PyObject *picture = view ? Py_BuildValue("(NIIIIn)", view, source.width, source.height, source.channels,
                                             source.bits, (Py_ssize_t)source.stride)
                             : NULL;
    PyObject *restored;
    status = restore(&self, "upscale", picture, form_of(&target), &restored);
    if (status == DIT4SR_OK) {
        status = fill_pixels(restored, &target);
        Py_DECREF(restored);
    }
    PyGILState_Release(lock);
    if (status == DIT4SR_OK)
        write_structure(output, &target, sizeof target);
    return end_call(&self, status);
}

void dit4sr_pixels_free(dit4sr_pixels *pixels)
{
    if (!pixels || pixels->size < sizeof *pixels || !pixels->owner)
        return;
    free(pixels->owner);
    pixels->owner = pixels->data = NULL;
    pixels->width = pixels->height = pixels->channels = pixels->bits = 0;
    pixels->stride = 0;
}

dit4sr_status dit4sr_upscale_tensor(dit4sr_upscaler *upscaler, struct DLManagedTensor *input, void *stream,
                                    const dit4sr_request *request, struct DLManagedTensor **output)
{
    call self;
    if (!input || !output)
        return misuse("a tensor is NULL", "its address", "");
    *output = NULL;
    dit4sr_status status = begin_call(&self, upscaler, request);
    if (status != DIT4SR_OK)
        return status;
    if (is_cancelled(&self))
        return end_call(&self, cancelled());
    PyGILState_STATE lock = PyGILState_Ensure();
    /* Nobody takes it out of its capsule, so it stays the caller's. */
    PyObject *capsule = PyCapsule_New(input, "dltensor", NULL), *restored;
    status = restore(&self, "upscale_tensor", capsule, PyLong_FromVoidPtr(stream), &restored);
    if (status == DIT4SR_OK) {
        /* Here one is: under its other name the capsule leaves it to the caller. */
        *output = PyCapsule_GetPointer(restored, "dltensor");
        if (!*output || PyCapsule_SetName(restored, "used_dltensor"))
            status = taken(NULL, &restored);
        Py_XDECREF(restored);
    }
    PyGILState_Release(lock);
    return end_call(&self, status);
}

/* -------------------------------------------------------------------------------------------------- queries */

dit4sr_status dit4sr_get_card(dit4sr_upscaler *upscaler, dit4sr_card *card)
{
    dit4sr_card known;
    call self;
    dit4sr_status status = read_structure(card, &known, sizeof known, "the card");
    if (status == DIT4SR_OK)
        status = begin_call(&self, upscaler, NULL);
    if (status != DIT4SR_OK)
        return status;
    PyGILState_STATE lock = PyGILState_Ensure();
    PyObject *value;
    status = taken(PyObject_CallMethod(self.of->object, "card", NULL), &value);
    if (status == DIT4SR_OK) {
        const char *name, *backend, *digest;
        if (PyArg_ParseTuple(value, "sssIIdII", &name, &backend, &digest, &known.tile, &known.default_steps,
                             &known.default_guidance, &known.reads_prompts, &known.lends_tensors)) {
            copy_text(known.name, sizeof known.name, name);
            copy_text(known.backend, sizeof known.backend, backend);
            copy_text(known.digest, sizeof known.digest, digest);
            write_structure(card, &known, sizeof known);
            Py_DECREF(value);
        } else {
            Py_DECREF(value);
            status = taken(NULL, &value);
        }
    }
    PyGILState_Release(lock);
    return end_call(&self, status);
}

/* What a method says of a picture of some size, as numbers. */
static dit4sr_status numbers(call *self, const char *method, uint32_t width, uint32_t height, const char *format,
                             void *first, void *second, void *third)
{
    PyGILState_STATE lock = PyGILState_Ensure();
    PyObject *asked = wishes(&self->request), *value;
    PyObject *answer =
        asked ? PyObject_CallMethod(self->of->object, method, "OII", asked, width, height) : NULL;
    dit4sr_status status = taken(answer, &value);
    Py_XDECREF(asked);
    if (status == DIT4SR_OK) {
        bool is_read = PyArg_ParseTuple(value, format, first, second, third);
        Py_DECREF(value);
        if (!is_read)
            status = taken(NULL, &value);
    }
    PyGILState_Release(lock);
    return status;
}

dit4sr_status dit4sr_output_size(dit4sr_upscaler *upscaler, const dit4sr_request *request, uint32_t width,
                                 uint32_t height, uint32_t *output_width, uint32_t *output_height)
{
    call self;
    if (!output_width || !output_height)
        return misuse("the place for a size is NULL", "its address", "");
    dit4sr_status status = begin_call(&self, upscaler, request);
    if (status != DIT4SR_OK)
        return status;
    return end_call(&self, numbers(&self, "output_size", width, height, "II", output_width, output_height, NULL));
}

dit4sr_status dit4sr_get_estimate(dit4sr_upscaler *upscaler, const dit4sr_request *request, uint32_t width,
                                  uint32_t height, dit4sr_estimate *estimate)
{
    dit4sr_estimate known;
    unsigned long long memory = 0;
    call self;
    dit4sr_status status = read_structure(estimate, &known, sizeof known, "the estimate");
    if (status == DIT4SR_OK)
        status = begin_call(&self, upscaler, request);
    if (status != DIT4SR_OK)
        return status;
    status = numbers(&self, "estimate", width, height, "dKI", &known.seconds, &memory, &known.is_measured);
    known.memory_bytes = memory;
    if (status == DIT4SR_OK)
        write_structure(estimate, &known, sizeof known);
    return end_call(&self, status);
}
