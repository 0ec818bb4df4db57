/* python_host BUNDLE ENVIRONMENT: a program that had Python before, and holds its lock while it calls.
 * Prints "both". */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dit4sr.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static dit4sr_upscaler *upscaler;
static unsigned char levels[12 * 10 * 3];

static int begun;
static int slow_progress(void *user, const dit4sr_progress *progress)
{
    (void)user;
    __atomic_store_n(&begun, (int)progress->done, __ATOMIC_SEQ_CST);
    return 0;
}

static void *restore_elsewhere(void *unused)
{
    dit4sr_pixels photo = {.size = sizeof photo, .data = levels, .width = 10, .height = 12, .channels = 3, .bits = 8};
    dit4sr_pixels restored = {.size = sizeof restored};
    dit4sr_request request = {.size = sizeof request, .steps = 300, .progress = slow_progress};
    (void)unused;
    dit4sr_status status = dit4sr_upscale(upscaler, &photo, &request, &restored);
    dit4sr_pixels_free(&restored);
    return status ? (void *)1 : NULL;
}

static void require(int is_so, const char *what)
{
    if (!is_so) {
        printf("%s: %s\n", what, dit4sr_last_error()->message);
        exit(1);
    }
}

int main(int count, char **words)
{
    (void)count;
    Py_Initialize(); /* the host's own, with its signals and its output */
    require(PyRun_SimpleString("import sys; stream = sys.stderr; mine = [1, 2, 3]") == 0, "host");

    dit4sr_options options = {.size = sizeof options, .bundle = words[1], .threads = 1, .flags = DIT4SR_NO_CACHE};
    options.environment = words[2];
    dit4sr_pixels photo = {.size = sizeof photo, .data = levels, .width = 10, .height = 12, .channels = 3, .bits = 8};
    dit4sr_pixels restored = {.size = sizeof restored};
    require(dit4sr_open(&options, &upscaler) == 0, "open");
    require(PyGILState_Check() == 1, "the lock is still ours");
    require(dit4sr_upscale(upscaler, &photo, NULL, &restored) == 0, "upscale");
    dit4sr_pixels_free(&restored);
    require(PyRun_SimpleString("assert sys.stderr is stream and mine == [1, 2, 3]") == 0, "host");

    /* Closing waits for a thread that needs the lock that this one holds. */
    pthread_t thread;
    void *failed;
    pthread_create(&thread, NULL, restore_elsewhere, NULL);
    Py_BEGIN_ALLOW_THREADS
    while (!__atomic_load_n(&begun, __ATOMIC_SEQ_CST))
        sched_yield();
    Py_END_ALLOW_THREADS
    require(dit4sr_close(upscaler, DIT4SR_CLOSE_WAITS) == 0, "close");
    Py_BEGIN_ALLOW_THREADS
    pthread_join(thread, &failed);
    Py_END_ALLOW_THREADS
    require(failed == NULL, "restore elsewhere");
    require(PyRun_SimpleString("assert mine == [1, 2, 3]") == 0, "host");
    printf("both\n");
    return 0;
}
