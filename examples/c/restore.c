/* Restores a picture: restore INPUT.ppm OUTPUT.ppm [BUNDLE [STEPS [SEED]]].
 *
 * Pictures are PPM (P6, colour) or PGM (P5, grey), of 8 or 16 bits. Ctrl-C ends the program as it always would.
 */
#include <dit4sr.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char *what)
{
    fprintf(stderr, "error: %s\n", what);
    return DIT4SR_BAD_INPUT;
}

static int complain_of_dit4sr(void)
{
    const dit4sr_error *error = dit4sr_last_error();
    fprintf(stderr, "error: %s\n", error->message);
    return error->status;
}

/* Levels of 16 bits lie in files with the upper byte first, on whatever machine. */
static void swap_to_or_from_file(unsigned char *bytes, size_t size)
{
    const uint16_t one = 1;
    if (*(const unsigned char *)&one)
        for (size_t i = 0; i + 1 < size; i += 2) {
            unsigned char upper = bytes[i];
            bytes[i] = bytes[i + 1];
            bytes[i + 1] = upper;
        }
}

static size_t size_of(const dit4sr_pixels *pixels)
{
    return (size_t)pixels->width * pixels->height * pixels->channels * (pixels->bits / 8);
}

/* Read a picture, whose levels the caller frees. */
static int read_picture(const char *path, dit4sr_pixels *picture)
{
    char kind = 0;
    unsigned most = 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        return complain("the input cannot be read");
    int is_header = fscanf(file, "P%c%u%u%u", &kind, &picture->width, &picture->height, &most) == 4 &&
                    (kind == '5' || kind == '6') && fgetc(file) != EOF && picture->width <= 1 << 16 &&
                    picture->height <= 1 << 16 && (most == 255 || most == 65535);
    if (is_header) {
        picture->channels = kind == '6' ? 3 : 1;
        picture->bits = most == 255 ? 8 : 16;
        picture->data = malloc(size_of(picture) + 1);
    }
    int is_whole = is_header && picture->data && fread(picture->data, 1, size_of(picture), file) == size_of(picture);
    fclose(file);
    if (!is_whole)
        return complain("the input is no PPM or PGM of 8 or 16 bits");
    if (picture->bits == 16)
        swap_to_or_from_file(picture->data, size_of(picture));
    return DIT4SR_OK;
}

static int write_picture(const char *path, const dit4sr_pixels *picture)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return complain("the output cannot be written");
    if (picture->bits == 16)
        swap_to_or_from_file(picture->data, size_of(picture));
    fprintf(file, "P%c\n%u %u\n%u\n", picture->channels == 3 ? '6' : '5', picture->width, picture->height,
            picture->bits == 8 ? 255u : 65535u);
    fwrite(picture->data, 1, size_of(picture), file);
    int is_broken = ferror(file);
    return fclose(file) || is_broken ? complain("the output cannot be written") : DIT4SR_OK;
}

static int show_progress(void *user, const dit4sr_progress *progress)
{
    (void)user;
    fprintf(stderr, "%s %u/%u\n", progress->stage, progress->done, progress->total);
    return 0; /* anything else would cancel */
}

int main(int count, char **words)
{
    if (count < 3)
        return complain("usage: restore INPUT.ppm OUTPUT.ppm [BUNDLE [STEPS [SEED]]]");

    dit4sr_options options = {.size = sizeof options};
    options.bundle = count > 3 && *words[3] ? words[3] : NULL;

    dit4sr_request request = {.size = sizeof request};
    request.steps = count > 4 ? (uint32_t)strtoul(words[4], NULL, 10) : 0;
    request.seed = count > 5 ? strtoull(words[5], NULL, 10) : 0;
    request.progress = show_progress;

    dit4sr_pixels photo = {.size = sizeof photo}, restored = {.size = sizeof restored};
    dit4sr_upscaler *upscaler = NULL;
    int status = read_picture(words[1], &photo);
    if (status == DIT4SR_OK && dit4sr_open(&options, &upscaler) != DIT4SR_OK)
        status = complain_of_dit4sr();
    if (status == DIT4SR_OK && dit4sr_upscale(upscaler, &photo, &request, &restored) != DIT4SR_OK)
        status = complain_of_dit4sr();
    if (status == DIT4SR_OK)
        status = write_picture(words[2], &restored);

    dit4sr_pixels_free(&restored);
    if (upscaler)
        dit4sr_close(upscaler, DIT4SR_CLOSE_WAITS);
    free(photo.data);
    return status;
}
