/* lifecycle BUNDLE ROUNDS: opens, restores and closes as often, and prints the memory it holds after each round. */
#include <dit4sr.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long resident(void)
{
    long all = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%ld %ld", &all, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void require(dit4sr_status status)
{
    if (status != DIT4SR_OK) {
        fprintf(stderr, "%s\n", dit4sr_last_error()->message);
        exit(status);
    }
}

static int count_runs(void *user, const dit4sr_progress *progress)
{
    *(uint32_t *)user += progress->done > 0;
    return 0;
}

int main(int count, char **words)
{
    int rounds = count > 2 ? atoi(words[2]) : 1;
    size_t size = 12 * 10 * 3;
    /* Of exactly its size, so that a byte too many would be noticed. */
    unsigned char *levels = malloc(size);
    for (size_t i = 0; i < size; i++)
        levels[i] = (unsigned char)(i * 37 % 251);
    for (int i = 0; i < rounds; i++) {
        dit4sr_options options = {.size = sizeof options, .bundle = words[1], .threads = 1, .flags = DIT4SR_NO_CACHE};
        dit4sr_pixels photo = {.size = sizeof photo, .data = levels, .width = 10, .height = 12, .channels = 3, .bits = 8};
        dit4sr_pixels restored = {.size = sizeof restored}, given = restored;
        uint32_t runs = 0;
        dit4sr_request request = {.size = sizeof request, .progress = count_runs, .progress_user = &runs};
        dit4sr_upscaler *upscaler;
        require(dit4sr_cancel_create(&request.cancel));
        require(dit4sr_open(&options, &upscaler));
        require(dit4sr_upscale(upscaler, &photo, &request, &restored));
        given = restored;
        given.owner = NULL;
        given.data = malloc(given.stride * given.height);
        require(dit4sr_upscale(upscaler, &photo, &request, &given));
        for (size_t b = 0; b < given.stride * given.height; b++)
            if (((unsigned char *)given.data)[b] != ((unsigned char *)restored.data)[b])
                return 1;
        request.steps = 100000;
        if (dit4sr_upscale(upscaler, &photo, &request, &given) != DIT4SR_BAD_INPUT)
            return 1;
        dit4sr_card card = {.size = sizeof card};
        require(dit4sr_get_card(upscaler, &card));
        free(given.data);
        dit4sr_pixels_free(&restored);
        dit4sr_cancel_destroy(request.cancel);
        require(dit4sr_close(upscaler, DIT4SR_CLOSE_WAITS));
        printf("%ld\n", resident());
        fflush(stdout);
    }
    free(levels);
    return 0;
}
