/* plugin_host LIBRARY BUNDLE: loads the library for itself alone (RTLD_LOCAL), as plug-ins are loaded, and looks
 * whether the process is as it was: signals, output, and a child that is forked. Prints "as it was". */
#define _GNU_SOURCE
#include <dit4sr.h>

#include <dlfcn.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *library;

/* POSIX lets a pointer be a function. */
#define FUNCTION(name)                                  \
    union {                                             \
        void *address;                                  \
        __typeof__(&dit4sr_##name) call;                \
    } name = {.address = dlsym(library, "dit4sr_" #name)}

static void on_interrupt(int signal) { (void)signal; }

static void fail(const char *what)
{
    printf("%s\n", what);
    exit(1);
}

static void read_signals(struct sigaction *actions)
{
    for (int signal = 1; signal < 32; signal++)
        if (sigaction(signal, NULL, &actions[signal]))
            memset(&actions[signal], 0, sizeof actions[signal]);
}

int main(int count, char **words)
{
    static struct sigaction before[32], after[32];
    static unsigned char levels[12 * 10 * 3];
    char locale_before[64];
    (void)count;
    signal(SIGINT, on_interrupt);
    signal(SIGPIPE, SIG_DFL);
    read_signals(before);
    snprintf(locale_before, sizeof locale_before, "%s", setlocale(LC_ALL, NULL));

    library = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fail(dlerror());
    FUNCTION(open);
    FUNCTION(upscale);
    FUNCTION(close);
    FUNCTION(pixels_free);
    FUNCTION(last_error);

    dit4sr_options options = {.size = sizeof options, .bundle = words[2], .threads = 1, .flags = DIT4SR_NO_CACHE};
    dit4sr_pixels photo = {.size = sizeof photo, .data = levels, .width = 10, .height = 12, .channels = 3, .bits = 8};
    dit4sr_pixels restored = {.size = sizeof restored};
    dit4sr_upscaler *upscaler;
    for (size_t i = 0; i < sizeof levels; i++)
        levels[i] = (unsigned char)(i * 37 % 251);

    /* Forked before the first open, a child may do as it likes. */
    pid_t early = fork();
    if (early == 0)
        _exit(open.call(&options, &upscaler));
    int status = 0;
    if (waitpid(early, &status, 0) < 0 || status != 0)
        fail("a fork before the first open could not open");

    if (open.call(&options, &upscaler) || upscale.call(upscaler, &photo, NULL, &restored))
        fail(last_error.call()->message);
    pixels_free.call(&restored);

    read_signals(after);
    for (int i = 1; i < 32; i++)
        if (before[i].sa_handler != after[i].sa_handler || before[i].sa_flags != after[i].sa_flags)
            fail("a signal's action has changed");
    if (strcmp(locale_before, setlocale(LC_ALL, NULL)))
        fail("the locale has changed");
    raise(SIGINT);

    pid_t late = fork();
    if (late == 0) {
        dit4sr_upscaler *another;
        int is_refused = upscale.call(upscaler, &photo, NULL, &restored) == DIT4SR_BAD_INPUT &&
                         strstr(last_error.call()->found, "fork") &&
                         close.call(upscaler, DIT4SR_CLOSE_WAITS) == DIT4SR_BAD_INPUT &&
                         open.call(&options, &another) == DIT4SR_BAD_INPUT;
        _exit(!is_refused);
    }
    if (waitpid(late, &status, 0) < 0 || status != 0)
        fail("a fork after opening was not refused");

    if (upscale.call(upscaler, &photo, NULL, &restored))
        fail(last_error.call()->message);
    pixels_free.call(&restored);
    if (close.call(upscaler, DIT4SR_CLOSE_WAITS))
        fail(last_error.call()->message);
    /* Python stays, and so must what holds its callbacks. */
    dlclose(library);
    library = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
    if (open.call(&options, &upscaler) || upscale.call(upscaler, &photo, NULL, &restored))
        fail("opening again after dlclose failed");
    /* It ends with an upscaler open, as careless hosts do. */
    printf("as it was\n");
    return 0;
}
