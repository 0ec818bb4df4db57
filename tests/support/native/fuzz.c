/* fuzz BUNDLE CALLS SEED: calls at random, with structures at random around memory of exactly the size they state.
 * Prints how often each status came. What must not happen is for the sanitizers to see. */
#include <dit4sr.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4, MOST_BYTES = 1 << 16 };

static uint64_t state;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t below(uint64_t most) { return draw() % most; }
static int chance(unsigned of_hundred) { return below(100) < of_hundred; }

static uint64_t odd_number(void)
{
    static const uint64_t odd[] = {0, 1, 2, 3, 4, 5, 7, 8, 16, 255, 256, 4095, 65536, 1u << 31, UINT32_MAX, 1ull << 62};
    return odd[below(sizeof odd / sizeof *odd)];
}

static double odd_float(void)
{
    static const double odd[] = {0, 1, 2, 4, 0.5, -1, 1e-300, 1e300, 1.0625};
    double zero = 0;
    return chance(10) ? zero / zero : odd[below(sizeof odd / sizeof *odd)];
}

static const char *odd_text(void)
{
    static const char *const odd[] = {"euler", "dpmpp-2m", "ab2",  "", "\xff", "{}", "{\"tile_batch\": 2}", "[", "auto",
                                      "cpu",   "onnxruntime", "cuda", "{\"steps\": null}", "{\"most_pixels\": 1}",
                                      "/nowhere", "{\"scale\": \"4\"}", "a cup of coffee"};
    return chance(60) ? NULL : odd[below(sizeof odd / sizeof *odd)];
}

/* Sizes that lie about no more memory than there is: a structure in a block of the size that it states. */
static size_t odd_size(size_t size)
{
    return chance(80) ? size : chance(50) ? below(size) : below(8);
}

/* The structure in memory of its own, which ends where its stated size does. */
static void *boxed(const void *structure, size_t stated)
{
    size_t held = stated < sizeof stated ? sizeof stated : stated;
    void *box = malloc(held);
    memcpy(box, structure, held);
    memcpy(box, &stated, sizeof stated);
    return box;
}

/* Memory for pixels. What they state must be true wherever it can be: that, no library could notice. */
static void back_with_memory(dit4sr_pixels *pixels)
{
    int is_possible = pixels->channels >= 1 && pixels->channels <= 4 && (pixels->bits == 8 || pixels->bits == 16) &&
                      pixels->width && pixels->height && pixels->width <= INT32_MAX && pixels->height <= INT32_MAX;
    uint64_t row = is_possible ? (uint64_t)pixels->width * pixels->channels * pixels->bits / 8 : 0;
    uint64_t stride = pixels->stride ? pixels->stride : row;
    is_possible = is_possible && stride >= row && stride <= (uint64_t)INT64_MAX / pixels->height;
    if (is_possible && stride * pixels->height > MOST_BYTES) {
        pixels->width = pixels->height = 1;
        pixels->stride = stride = 0;
        row = stride = pixels->channels * pixels->bits / 8;
    }
    pixels->data = malloc(is_possible ? stride * (pixels->height - 1) + row : 1);
    if (is_possible)
        memset(pixels->data, (int)below(256), stride * (pixels->height - 1) + row);
}

static dit4sr_pixels some_pixels(void)
{
    dit4sr_pixels pixels = {.size = sizeof pixels, .width = 1 + (uint32_t)below(14), .height = 1 + (uint32_t)below(14),
                            .channels = 1 + (uint32_t)below(4), .bits = chance(50) ? 8 : 16};
    if (chance(20))
        pixels.stride = odd_number();
    if (chance(10))
        pixels.width = (uint32_t)odd_number();
    if (chance(10))
        pixels.channels = (uint32_t)odd_number();
    if (chance(10))
        pixels.bits = (uint32_t)odd_number();
    back_with_memory(&pixels);
    return pixels;
}

static int odd_progress(void *user, const dit4sr_progress *progress)
{
    (void)user;
    return progress->done > 3 && chance(5);
}

static dit4sr_request some_request(dit4sr_cancel *cancel)
{
    dit4sr_request request = {.size = sizeof request, .seed = draw(), .steps = 1 + (uint32_t)below(2)};
    if (chance(20))
        request.solver = odd_text();
    if (chance(20))
        request.more = odd_text();
    if (chance(10))
        request.prompt = odd_text();
    if (chance(5))
        request.preset = odd_text();
    if (chance(20))
        request.scale = odd_float();
    if (chance(20))
        request.guidance = odd_float();
    if (chance(10))
        request.tile = (uint32_t)odd_number();
    if (chance(50))
        request.progress = odd_progress;
    if (chance(5))
        request.cancel = cancel;
    return request;
}

int main(int count, char **words)
{
    unsigned long calls = count > 2 ? strtoul(words[2], NULL, 10) : 100, statuses[256] = {0};
    dit4sr_upscaler *open[SLOTS] = {NULL};
    dit4sr_cancel *cancel;
    state = 0x9E3779B97F4A7C15u ^ (count > 3 ? strtoull(words[3], NULL, 10) * 1000003u : 1);
    if (dit4sr_cancel_create(&cancel))
        return 1;
    for (unsigned long i = 0; i < calls; i++) {
        size_t slot = below(SLOTS);
        dit4sr_upscaler *upscaler = chance(5) ? (dit4sr_upscaler *)(uintptr_t)odd_number() : open[slot];
        dit4sr_request asked = some_request(cancel);
        dit4sr_request *request = chance(10) ? NULL : boxed(&asked, odd_size(sizeof asked));
        uint32_t width = (uint32_t)(chance(80) ? below(20) : odd_number());
        uint32_t height = (uint32_t)(chance(80) ? below(20) : odd_number());
        dit4sr_status status = DIT4SR_OK;
        switch (below(20)) {
        case 0:
        case 1: {
            dit4sr_options options = {.size = sizeof options, .bundle = words[1], .threads = 1,
                                      .flags = chance(90) ? DIT4SR_NO_CACHE : (uint32_t)odd_number() | DIT4SR_NO_CACHE};
            if (chance(15))
                options.bundle = odd_text();
            if (chance(15))
                options.backend = odd_text();
            if (chance(15))
                options.device = odd_text();
            if (!options.bundle)
                options.bundle = "/nowhere";
            dit4sr_options *box = boxed(&options, odd_size(sizeof options));
            dit4sr_upscaler *opened = NULL;
            status = dit4sr_open(box, chance(98) ? &opened : NULL);
            free(box);
            if (opened) {
                if (open[slot])
                    dit4sr_close(open[slot], DIT4SR_CLOSE_WAITS);
                open[slot] = opened;
            }
            break;
        }
        case 2:
            /* Its ticket stays behind, to be refused. */
            status = dit4sr_close(upscaler, (dit4sr_close_mode)below(4));
            break;
        case 3: {
            dit4sr_card card;
            memset(&card, 0, sizeof card);
            void *box = boxed(&card, odd_size(sizeof card));
            status = dit4sr_get_card(upscaler, box);
            free(box);
            break;
        }
        case 4: {
            dit4sr_estimate estimate;
            memset(&estimate, 0, sizeof estimate);
            void *box = boxed(&estimate, odd_size(sizeof estimate));
            status = dit4sr_get_estimate(upscaler, request, width, height, box);
            free(box);
            break;
        }
        case 5:
        case 6: {
            uint32_t w, h;
            status = dit4sr_output_size(upscaler, request, width, height, &w, chance(95) ? &h : NULL);
            break;
        }
        default: {
            dit4sr_pixels photo = some_pixels(), target = {.size = sizeof target};
            if (chance(30)) {
                target = photo;
                target.width *= 4;
                target.height *= 4;
                target.stride = chance(80) ? 0 : target.stride;
                back_with_memory(&target);
            }
            void *given = target.data;
            dit4sr_pixels *input = boxed(&photo, odd_size(sizeof photo)), *output = boxed(&target, odd_size(sizeof target));
            status = dit4sr_upscale(upscaler, input, request, output);
            if (given)
                free(given);
            else
                dit4sr_pixels_free(output);
            free(photo.data);
            free(input);
            free(output);
        }
        }
        free(request);
        statuses[status & 255]++;
        if (status == DIT4SR_INTERNAL)
            fprintf(stderr, "call %lu: %s\n", i, dit4sr_last_error()->message);
    }
    for (size_t i = 0; i < SLOTS; i++)
        dit4sr_close(open[i], DIT4SR_CLOSE_CANCELS);
    dit4sr_cancel_destroy(cancel);
    for (size_t i = 0; i < 256; i++)
        if (statuses[i])
            printf("%zu %lu\n", i, statuses[i]);
    return statuses[DIT4SR_INTERNAL] != 0;
}
