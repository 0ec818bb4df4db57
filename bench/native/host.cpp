// host BUNDLE THREADS REQUESTS WIDTH HEIGHT STEPS: restores as `peer.py` does, in C++, and prints the same JSON.
#include <dit4sr.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t SEEDS = 4;

double seconds_since(Clock::time_point start)
{
    return std::chrono::duration<double>(Clock::now() - start).count();
}

bool is_equal(const dit4sr::Picture &one, const dit4sr::Picture &other)
{
    return one.size() == other.size() && std::memcmp(one.data(), other.data(), one.size()) == 0;
}

} // namespace

int main(int count, char **words)
try {
    if (count != 7)
        return 2;
    const auto number = [words](int place) { return static_cast<std::uint32_t>(std::atoi(words[place])); };
    const std::uint32_t threads = number(2), requests = number(3), width = number(4), height = number(5);
    std::vector<std::uint8_t> levels(std::size_t{3} * width * height);
    for (std::size_t i = 0; i < levels.size(); i++)
        levels[i] = static_cast<std::uint8_t>(i * 37 % 251);
    const dit4sr::View photo{levels.data(), width, height, 3};

    dit4sr::Options options;
    options.bundle = words[1];
    options.threads = 1;
    options.flags = DIT4SR_NO_CACHE;
    const dit4sr::Upscaler upscaler(options);
    const auto restore = [&](std::uint64_t seed) {
        dit4sr::Request request;
        request.seed = seed;
        request.steps = number(6);
        return upscaler.upscale(photo, request);
    };
    std::vector<dit4sr::Picture> serial;
    serial.push_back(restore(0));
    double seconds = 0;
    std::vector<std::uint32_t> unequal(threads);
    if (requests > 0) {
        for (std::uint64_t seed = 1; seed < SEEDS; seed++)
            serial.push_back(restore(seed));
        const Clock::time_point start = Clock::now();
        std::vector<std::thread> pool;
        for (std::uint32_t thread = 0; thread < threads; thread++)
            pool.emplace_back([&, thread] {
                for (std::uint32_t i = 0; i < requests; i++) {
                    const std::uint64_t seed = (thread + i) % SEEDS;
                    unequal[thread] += !is_equal(restore(seed), serial[seed]);
                }
            });
        for (std::thread &thread : pool)
            thread.join();
        seconds = seconds_since(start);
    }
    std::uint32_t all_unequal = 0, sum = 0;
    for (const std::uint32_t each : unequal)
        all_unequal += each;
    for (const dit4sr::Picture &picture : serial)
        for (std::size_t i = 0; i < picture.size(); i++)
            sum = sum * 31 + picture.data()[i];
    std::printf("{\"pictures\": %u, \"seconds\": %.6f, \"unequal\": %u, \"sum\": %u}\n", threads * requests, seconds,
                all_unequal, sum);
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
}
