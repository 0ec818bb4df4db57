// A small service: restores every PPM of a folder with some threads, and prints how long each took.
//
//     service FOLDER OUTPUT_FOLDER [THREADS [BUNDLE [STEPS]]]
#include <dit4sr.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

/// A picture of 8 bits a channel: what a PPM holds.
struct Ppm {
    std::uint32_t width = 0, height = 0;
    std::vector<char> levels;
};

Ppm read_ppm(const fs::path &path)
{
    std::ifstream file(path, std::ios::binary);
    std::string kind;
    unsigned most = 0;
    Ppm ppm;
    file >> kind >> ppm.width >> ppm.height >> most;
    file.get();
    if (!file || kind != "P6" || most != 255 || ppm.width > 1 << 16 || ppm.height > 1 << 16)
        throw std::runtime_error(path.string() + " is no PPM of 8 bits");
    ppm.levels.resize(std::size_t{3} * ppm.width * ppm.height);
    if (!file.read(ppm.levels.data(), static_cast<std::streamsize>(ppm.levels.size())))
        throw std::runtime_error(path.string() + " is too short");
    return ppm;
}

void write_ppm(const fs::path &path, const dit4sr::Picture &picture)
{
    std::ofstream file(path, std::ios::binary);
    file << "P6\n" << picture.width() << ' ' << picture.height() << "\n255\n";
    file.write(reinterpret_cast<const char *>(picture.data()), static_cast<std::streamsize>(picture.size()));
    if (!file)
        throw std::runtime_error(path.string() + " cannot be written");
}

double milliseconds(Clock::duration duration)
{
    return std::chrono::duration<double, std::milli>(duration).count();
}

/// Restores files until none are left; one that fails fails alone.
class Service {
public:
    Service(const dit4sr::Upscaler &upscaler, std::vector<fs::path> files, fs::path output, std::uint32_t steps)
        : upscaler_(upscaler), files_(std::move(files)), output_(std::move(output))
    {
        request_.steps = steps;
    }

    void run(unsigned threads)
    {
        std::vector<std::thread> pool;
        for (unsigned i = 0; i < threads; i++)
            pool.emplace_back([this] {
                for (std::size_t next; (next = taken_++) < files_.size();)
                    restore(files_[next]);
            });
        for (std::thread &thread : pool)
            thread.join();
    }

    bool all_came_through() const { return latencies_.size() == files_.size(); }

    double median() const
    {
        std::vector<double> sorted = latencies_;
        std::sort(sorted.begin(), sorted.end());
        return sorted.empty() ? 0 : sorted[sorted.size() / 2];
    }

private:
    void restore(const fs::path &file)
    {
        std::string line;
        double latency = -1;
        try {
            const Ppm photo = read_ppm(file);
            const Clock::time_point start = Clock::now();
            const dit4sr::Picture restored =
                upscaler_.upscale({photo.levels.data(), photo.width, photo.height, 3}, request_);
            latency = milliseconds(Clock::now() - start);
            write_ppm(output_ / file.filename(), restored);
            line = std::to_string(latency) + " ms";
        } catch (const std::exception &error) {
            latency = -1;
            line = std::string("failed: ") + error.what();
        }
        const std::lock_guard<std::mutex> lock(mutex_);
        if (latency >= 0)
            latencies_.push_back(latency);
        std::printf("%s: %s\n", file.filename().string().c_str(), line.c_str());
    }

    const dit4sr::Upscaler &upscaler_;
    std::vector<fs::path> files_;
    fs::path output_;
    dit4sr::Request request_;
    std::atomic<std::size_t> taken_{0};
    std::mutex mutex_;
    std::vector<double> latencies_;
};

} // namespace

int main(int count, char **words)
{
    if (count < 3) {
        std::fprintf(stderr, "usage: service FOLDER OUTPUT_FOLDER [THREADS [BUNDLE [STEPS]]]\n");
        return DIT4SR_BAD_INPUT;
    }
    try {
        const unsigned threads = count > 3 ? static_cast<unsigned>(std::stoul(words[3])) : 2;
        dit4sr::Options options;
        options.bundle = count > 4 ? words[4] : "";
        options.threads = 1; // as many callers as cores restore more with one each
        dit4sr::set_log([](dit4sr_level, const std::string &line) { std::fprintf(stderr, "%s\n", line.c_str()); });
        const dit4sr::Upscaler upscaler(options);

        std::vector<fs::path> files;
        for (const auto &entry : fs::directory_iterator(words[1]))
            if (entry.path().extension() == ".ppm")
                files.push_back(entry.path());
        std::sort(files.begin(), files.end());
        fs::create_directories(words[2]);

        Service service(upscaler, files, words[2], count > 5 ? static_cast<std::uint32_t>(std::stoul(words[5])) : 0);
        const Clock::time_point start = Clock::now();
        service.run(threads);
        const double seconds = milliseconds(Clock::now() - start) / 1000;
        std::printf("%zu pictures, %.2f a second, median %.1f ms, on %s\n", files.size(),
                    static_cast<double>(files.size()) / seconds, service.median(), upscaler.card().backend);
        return service.all_came_through() ? 0 : 9;
    } catch (const dit4sr::Error &error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return error.status;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
