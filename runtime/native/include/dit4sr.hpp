// dit4sr for C++17: the C interface with owners and exceptions.
//
//     dit4sr::Upscaler upscaler;                     // or {"my-bundle"}; share it between threads
//     dit4sr::Request request;
//     request.steps = 20;
//     dit4sr::Picture restored = upscaler.upscale({data, 128, 128, 3}, request);
//
// What fails throws a dit4sr::Error, and what was cancelled a dit4sr::Cancelled.
#ifndef DIT4SR_HPP
#define DIT4SR_HPP

#include "dit4sr.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace dit4sr {

/// A failure: its line as what(), and the parts of it.
class Error : public std::runtime_error {
public:
    explicit Error(const dit4sr_error &error)
        : std::runtime_error(error.message), status(error.status), found(error.found), expected(error.expected),
          fix(error.fix)
    {
    }

    dit4sr_status status;
    std::string found, expected, fix;
};

/// The caller asked to stop.
class Cancelled : public Error {
public:
    using Error::Error;
};

/// Throw what a call of the C interface has failed with.
inline void check(dit4sr_status status)
{
    if (status == DIT4SR_CANCELLED)
        throw Cancelled(*dit4sr_last_error());
    if (status != DIT4SR_OK)
        throw Error(*dit4sr_last_error());
}

/// Levels in the caller's memory. They are only read, unless they are given as an output.
struct View {
    const void *data;
    std::uint32_t width, height, channels;
    std::uint32_t bits = 8;
    std::size_t stride = 0;

    /// The same for C.
    dit4sr_pixels pixels() const
    {
        dit4sr_pixels pixels{};
        pixels.size = sizeof pixels;
        pixels.data = const_cast<void *>(data);
        pixels.width = width;
        pixels.height = height;
        pixels.channels = channels;
        pixels.bits = bits;
        pixels.stride = stride;
        return pixels;
    }
};

/// A picture in memory of the library's, which it owns.
class Picture {
public:
    Picture() noexcept { pixels_.size = sizeof pixels_; }
    Picture(Picture &&other) noexcept : Picture() { std::swap(pixels_, other.pixels_); }
    Picture &operator=(Picture &&other) noexcept
    {
        std::swap(pixels_, other.pixels_);
        return *this;
    }
    Picture(const Picture &) = delete;
    Picture &operator=(const Picture &) = delete;
    ~Picture() { dit4sr_pixels_free(&pixels_); }

    const std::uint8_t *data() const noexcept { return static_cast<const std::uint8_t *>(pixels_.data); }
    std::uint8_t *data() noexcept { return static_cast<std::uint8_t *>(pixels_.data); }
    /// Bytes.
    std::size_t size() const noexcept { return pixels_.stride * pixels_.height; }
    std::uint32_t width() const noexcept { return pixels_.width; }
    std::uint32_t height() const noexcept { return pixels_.height; }
    std::uint32_t channels() const noexcept { return pixels_.channels; }
    std::uint32_t bits() const noexcept { return pixels_.bits; }
    View view() const noexcept { return {data(), width(), height(), channels(), bits(), pixels_.stride}; }

private:
    friend class Upscaler;
    dit4sr_pixels pixels_{};
};

/// Stops the requests that have it, from any thread; copies are the same one.
class Cancel {
public:
    Cancel()
    {
        dit4sr_cancel *made = nullptr;
        check(dit4sr_cancel_create(&made));
        cancel_.reset(made, dit4sr_cancel_destroy);
    }

    void set() const noexcept { dit4sr_cancel_set(cancel_.get()); }
    dit4sr_cancel *get() const noexcept { return cancel_.get(); }

private:
    std::shared_ptr<dit4sr_cancel> cancel_;
};

/// What is asked of a picture; as in C, what is zero or empty is left to the bundle.
struct Request {
    std::uint64_t seed = 0;
    std::string prompt, negative, preset, solver, more;
    double scale = 0, guidance = 0;
    std::uint32_t steps = 0, tile = 0;
    /// Called after every run of an engine; false cancels. What it throws comes out of the call.
    std::function<bool(const dit4sr_progress &)> progress;
    const Cancel *cancel = nullptr;
};

/// How a bundle is opened; an empty bundle is the small model in the box.
struct Options {
    std::string bundle, backend, device, environment, cache;
    std::uint32_t threads = 0, flags = 0;
};

/// Hear what there is to say; the function is kept until another one is set, and must not throw.
inline void set_log(std::function<void(dit4sr_level, const std::string &)> log)
{
    using Log = std::function<void(dit4sr_level, const std::string &)>;
    // Kept for good: calls under way in other threads may still speak to it.
    auto *kept = log ? new Log(std::move(log)) : nullptr;
    dit4sr_set_log(kept ? [](void *user, dit4sr_level level, const char *line) {
        (*static_cast<Log *>(user))(level, line);
    } : static_cast<dit4sr_log_function>(nullptr), kept);
}

/// An opened bundle; closes itself when it goes, and waits for its calls then.
class Upscaler {
public:
    explicit Upscaler(const Options &options = {})
    {
        dit4sr_options c{};
        c.size = sizeof c;
        c.bundle = text(options.bundle);
        c.backend = text(options.backend);
        c.device = text(options.device);
        c.environment = text(options.environment);
        c.cache = text(options.cache);
        c.threads = options.threads;
        c.flags = options.flags;
        check(dit4sr_open(&c, &upscaler_));
    }
    Upscaler(Upscaler &&other) noexcept : upscaler_(std::exchange(other.upscaler_, nullptr)) {}
    Upscaler &operator=(Upscaler &&other) noexcept
    {
        std::swap(upscaler_, other.upscaler_);
        return *this;
    }
    Upscaler(const Upscaler &) = delete;
    Upscaler &operator=(const Upscaler &) = delete;
    ~Upscaler()
    {
        if (upscaler_)
            dit4sr_close(upscaler_, DIT4SR_CLOSE_WAITS);
    }

    /// Restore to memory of the library's.
    Picture upscale(const View &photo, const Request &request = {}) const
    {
        Picture restored;
        restore(photo, request, restored.pixels_);
        return restored;
    }

    /// Restore to memory of the caller's, of the size that output_size says.
    void upscale_into(const View &photo, const View &target, const Request &request = {}) const
    {
        dit4sr_pixels output = target.pixels();
        restore(photo, request, output);
    }

    /// Restore a tensor of DLPack to another one on the same side; its deleter gives that back.
    DLManagedTensor *upscale_tensor(DLManagedTensor *tensor, void *stream, const Request &request = {}) const
    {
        Asked asked(request);
        DLManagedTensor *output = nullptr;
        asked.check(dit4sr_upscale_tensor(upscaler_, tensor, stream, &asked.c, &output));
        return output;
    }

    std::pair<std::uint32_t, std::uint32_t> output_size(std::uint32_t width, std::uint32_t height,
                                                        const Request &request = {}) const
    {
        Asked asked(request);
        std::pair<std::uint32_t, std::uint32_t> size;
        asked.check(dit4sr_output_size(upscaler_, &asked.c, width, height, &size.first, &size.second));
        return size;
    }

    dit4sr_estimate estimate(std::uint32_t width, std::uint32_t height, const Request &request = {}) const
    {
        Asked asked(request);
        dit4sr_estimate estimate{};
        estimate.size = sizeof estimate;
        asked.check(dit4sr_get_estimate(upscaler_, &asked.c, width, height, &estimate));
        return estimate;
    }

    dit4sr_card card() const
    {
        dit4sr_card card{};
        card.size = sizeof card;
        check(dit4sr_get_card(upscaler_, &card));
        return card;
    }

    /// Close before it goes, to cancel what is under way or to hear whether it failed.
    void close(dit4sr_close_mode mode = DIT4SR_CLOSE_WAITS)
    {
        check(dit4sr_close(std::exchange(upscaler_, nullptr), mode));
    }

    /// The same for C; nullptr once it is closed.
    dit4sr_upscaler *get() const noexcept { return upscaler_; }

private:
    static const char *text(const std::string &text) noexcept { return text.empty() ? nullptr : text.c_str(); }

    /// A request for C, and what its callback has thrown: exceptions do not pass through C.
    struct Asked {
        explicit Asked(const Request &request) : request(request)
        {
            c.size = sizeof c;
            c.seed = request.seed;
            c.prompt = text(request.prompt);
            c.negative = text(request.negative);
            c.preset = text(request.preset);
            c.solver = text(request.solver);
            c.more = text(request.more);
            c.scale = request.scale;
            c.guidance = request.guidance;
            c.steps = request.steps;
            c.tile = request.tile;
            c.cancel = request.cancel ? request.cancel->get() : nullptr;
            if (request.progress) {
                c.progress_user = this;
                c.progress = [](void *user, const dit4sr_progress *progress) -> int {
                    auto *self = static_cast<Asked *>(user);
                    try {
                        return !self->request.progress(*progress);
                    } catch (...) {
                        self->thrown = std::current_exception();
                        return 1;
                    }
                };
            }
        }

        void check(dit4sr_status status) const
        {
            if (thrown)
                std::rethrow_exception(thrown);
            dit4sr::check(status);
        }

        const Request &request;
        dit4sr_request c{};
        std::exception_ptr thrown;
    };

    void restore(const View &photo, const Request &request, dit4sr_pixels &output) const
    {
        Asked asked(request);
        const dit4sr_pixels input = photo.pixels();
        asked.check(dit4sr_upscale(upscaler_, &input, &asked.c, &output));
    }

    dit4sr_upscaler *upscaler_ = nullptr;
};

} // namespace dit4sr

#endif
