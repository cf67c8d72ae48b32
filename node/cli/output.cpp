// SPDX-License-Identifier: Apache-2.0
// Text for people.
#include "node/cli/output.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <boost/json.hpp>
#include <unistd.h>

namespace trainyard::node::cli {
namespace {

constexpr uint64_t kPlainLineEveryMs = 3000;

bool is_terminal(int fd) {
    const char* term = std::getenv("TERM");
    return ::isatty(fd) == 1 && (term == nullptr || std::string_view(term) != "dumb");
}

std::string painted(std::string_view text, const char* code) {
    if (!has_colour()) return std::string(text);
    return "\033[" + std::string(code) + "m" + std::string(text) + "\033[0m";
}

}  // namespace

std::string fixed_text(double value, int digits) {
    char out[64];
    std::snprintf(out, sizeof(out), "%.*f", digits, value);
    return out;
}

void Output::line(std::string_view text) const {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fputc('\n', stdout);
    std::fflush(stdout);
}

bool wrote_all_lines() {
    return std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
}

void Output::say(std::string_view text) const {
    if (!quiet) std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
}

int Output::fail(std::string_view text) const {
    const std::string line = json ? boost::json::serialize(boost::json::object{{"error", text}})
                                  : "error: " + std::string(text);
    std::fprintf(stderr, "%s\n", line.c_str());
    return kFailed;
}

bool has_colour() {
    static const bool yes = [] {
        const char* refused = std::getenv("NO_COLOR");
        return ::isatty(STDOUT_FILENO) == 1 && is_terminal(STDERR_FILENO) &&
               (refused == nullptr || *refused == 0);
    }();
    return yes;
}

std::string bold(std::string_view text) {
    return painted(text, "1");
}
std::string green(std::string_view text) {
    return painted(text, "32");
}
std::string red(std::string_view text) {
    return painted(text, "31");
}
std::string yellow(std::string_view text) {
    return painted(text, "33");
}
std::string dim(std::string_view text) {
    return painted(text, "2");
}

std::string short_hex(BytesView bytes) {
    const auto text = to_hex0x(bytes);
    if (text.size() <= 14) return text;
    return text.substr(0, 8) + "…" + text.substr(text.size() - 4);
}

std::string seconds_text(uint64_t seconds) {
    if (seconds < 60) return std::to_string(seconds) + "s";
    const auto rest = std::to_string(seconds % 60);
    return std::to_string(seconds / 60) + "m " + (rest.size() < 2 ? "0" : "") + rest + "s";
}

std::string utc_text(uint64_t unix_s) {
    const auto time = static_cast<std::time_t>(unix_s);
    std::tm parts{};
    char text[32];
    ::gmtime_r(&time, &parts);
    return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

ProgressLine::ProgressLine(const Output& out)
    : is_silent_(out.quiet || out.json), animate_(is_terminal(STDERR_FILENO)) {}
ProgressLine::~ProgressLine() {
    clear();
}

void ProgressLine::show(const std::string& text) {
    if (is_silent_) return;
    const auto now = steady_ms();
    if (animate_) {
        // Without wrapping: what is wider than the terminal is cut, or each line would stay behind.
        std::fprintf(stderr, "\r\033[K\033[?7l%s\033[?7h", text.c_str());
        std::fflush(stderr);
        drawn_ = true;
        return;
    }
    if (last_ms_ != 0 && now < last_ms_ + kPlainLineEveryMs) return;
    last_ms_ = now;
    std::fprintf(stderr, "%s\n", text.c_str());
}

void ProgressLine::clear() {
    if (drawn_) std::fprintf(stderr, "\r\033[K");
    std::fflush(stderr);
    drawn_ = false;
}

std::string bar_text(uint64_t done, uint64_t of) {
    constexpr size_t width = 24;
    const size_t filled = of == 0 ? 0 : width * std::min(done, of) / of;
    std::string bar;
    for (size_t i = 0; i < width; ++i) bar += i < filled ? "█" : "░";
    return bar;
}

std::string sparkline(const std::vector<float>& values, size_t width) {
    constexpr const char* kHeights[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const size_t first = values.size() - std::min(values.size(), width);
    float low = INFINITY, high = -INFINITY;
    for (size_t i = first; i < values.size(); ++i) {
        if (!std::isfinite(values[i])) continue;
        low = std::min(low, values[i]);
        high = std::max(high, values[i]);
    }
    std::string out;
    for (size_t i = first; i < values.size(); ++i) {
        if (!std::isfinite(values[i]))
            out += " ";
        else
            out += kHeights[high > low ? std::lround(7 * (values[i] - low) / (high - low)) : 0];
    }
    return out;
}

std::string progress_text(const Progress& p) {
    std::string bar = bar_text(p.step, p.steps);
    bar += " step " + std::to_string(p.step) + "/" + std::to_string(p.steps);
    if (p.step > 0) bar += "  loss " + fixed_text(p.loss, 3);
    if (p.tokens_per_s > 0)
        bar += "  ETA " + seconds_text(p.seconds_left) + "  " + fixed_text(p.tokens_per_s, 0) +
               " tokens/s  " + fixed_text(p.tops, 3) + " TOP/s";
    if (p.segments > 0)
        bar += "  segments " + std::to_string(p.committed) + " committed, " +
               std::to_string(p.accepted) + " accepted of " + std::to_string(p.segments);
    return bar;
}

void RateMeter::on_step(uint32_t step, uint64_t now_ms) {
    if (last_ms_ != 0 && step > last_step_ && now_ms > last_ms_) {
        const double rate = 1000.0 * (step - last_step_) / static_cast<double>(now_ms - last_ms_);
        steps_per_s_ = steps_per_s_ == 0 ? rate : 0.8 * steps_per_s_ + 0.2 * rate;
    }
    last_step_ = step;
    last_ms_ = now_ms;
}

uint64_t steady_ms() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

uint64_t unix_seconds() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

}  // namespace trainyard::node::cli
