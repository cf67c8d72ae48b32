// SPDX-License-Identifier: Apache-2.0
// Rendering of log lines, the limit on repeats, and spdlog's sinks.
#include "node/runtime/log.hpp"

#include <unistd.h>

#include <cstdlib>
#include <map>
#include <mutex>

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

namespace trainyard::runtime {

namespace {

constexpr size_t kRepeatKeysMax = 1024;
constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error"};
constexpr char kHexDigits[] = "0123456789abcdef";

spdlog::level::level_enum spdlog_level(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
            return spdlog::level::debug;
        case LogLevel::info:
            return spdlog::level::info;
        case LogLevel::warn:
            return spdlog::level::warn;
        case LogLevel::error:
            return spdlog::level::err;
        case LogLevel::off:
            break;
    }
    return spdlog::level::off;
}

// So that nothing a peer says can forge a line or move the cursor.
void append_visible(std::string& to, char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
        to += c;
        return;
    }
    to += "\\u00";
    to += kHexDigits[byte >> 4];
    to += kHexDigits[byte & 15];
}

// JSON string contents; also used for quoted values in the human form.
void append_escaped(std::string& to, std::string_view text) {
    for (const char c : text) {
        if (c == '"' || c == '\\') to += '\\';
        append_visible(to, c);
    }
}

bool needs_quotes(std::string_view value) {
    return value.empty() || std::any_of(value.begin(), value.end(), [](char c) {
               const auto byte = static_cast<unsigned char>(c);
               return byte <= 0x20 || byte == 0x7f || c == '"' || c == '\\' || c == '=';
           });
}

std::string render_human(std::string_view text, Fields fields, uint64_t left_out) {
    std::string out;
    for (const char c : text) append_visible(out, c);
    for (const Field& field : fields) {
        out += fields.begin() == &field ? "  " : " ";
        out += field.key;
        out += '=';
        const bool quoted = needs_quotes(field.value);
        if (quoted) out += '"';
        quoted ? append_escaped(out, field.value) : void(out += field.value);
        if (quoted) out += '"';
    }
    if (left_out > 0) out += "  left_out=" + std::to_string(left_out);
    return out;
}

std::string render_json(std::string_view text, Fields fields, uint64_t left_out) {
    std::string out = "\"msg\":\"";
    append_escaped(out, text);
    out += '"';
    for (const Field& field : fields) {
        out += ",\"";
        append_escaped(out, field.key);
        out += "\":";
        if (!field.is_number) out += '"';
        append_escaped(out, field.value);
        if (!field.is_number) out += '"';
    }
    if (left_out > 0) out += ",\"left_out\":" + std::to_string(left_out);
    return out;
}

void append_view(spdlog::memory_buf_t& to, std::string_view text) {
    to.append(text.data(), text.data() + text.size());
}

class LineFormatter final : public spdlog::formatter {
public:
    LineFormatter(bool json, bool with_time)
        : json_(json),
          with_time_(with_time),
          time_(json ? "%Y-%m-%dT%H:%M:%S.%eZ" : "%H:%M:%S.%e ",
                json ? spdlog::pattern_time_type::utc : spdlog::pattern_time_type::local, "") {}

    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
        json_ ? format_json(message, line) : format_human(message, line);
        append_view(line, "\n");
    }
    std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<LineFormatter>(json_, with_time_);
    }

private:
    static std::string_view level_of(const spdlog::details::log_msg& message) {
        return kLevelNames[message.level - spdlog::level::debug];
    }
    static std::string_view view(spdlog::string_view_t text) { return {text.data(), text.size()}; }

    void format_json(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) {
        append_view(line, R"({"time":")");
        time_.format(message, line);
        append_view(line, R"(","level":")");
        append_view(line, level_of(message));
        append_view(line, R"(","component":")");
        append_view(line, view(message.logger_name));
        append_view(line, R"(",)");
        append_view(line, view(message.payload));
        append_view(line, "}");
    }

    void format_human(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) {
        if (with_time_) time_.format(message, line);
        message.color_range_start = line.size();
        append_view(line, level_of(message));
        message.color_range_end = line.size();
        append_padding(line, level_of(message).size(), 6);
        append_view(line, view(message.logger_name));
        append_padding(line, message.logger_name.size(), 9);
        append_view(line, view(message.payload));
    }
    static void append_padding(spdlog::memory_buf_t& line, size_t used, size_t width) {
        do append_view(line, " ");
        while (++used < width);
    }

    const bool json_;
    const bool with_time_;
    spdlog::pattern_formatter time_;
};

class CallbackSink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    explicit CallbackSink(std::function<void(std::string_view)> write) : write_(std::move(write)) {}

private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        write_(std::string_view(line.data(), line.size() - 1));
    }
    void flush_() override {}
    std::function<void(std::string_view)> write_;
};

bool wants_colour(const Logger::Options& options) {
    const char* refused = std::getenv("NO_COLOR");
    return options.colour && !options.json && (refused == nullptr || *refused == 0) &&
           ::isatty(STDERR_FILENO) == 1;
}

spdlog::sink_ptr make_sink(const Logger::Options& options) {
    spdlog::sink_ptr sink;
    if (options.sink) {
        sink = std::make_shared<CallbackSink>(options.sink);
    } else {
        sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(
            wants_colour(options) ? spdlog::color_mode::always : spdlog::color_mode::never);
    }
    // The journal has a time of its own for each line.
    const bool with_time = std::getenv("JOURNAL_STREAM") == nullptr;
    sink->set_formatter(std::make_unique<LineFormatter>(options.json, with_time));
    return sink;
}

}  // namespace

std::optional<LogLevel> log_level_from(std::string_view name) {
    for (size_t i = 0; i < std::size(kLevelNames); ++i) {
        if (name == kLevelNames[i]) return static_cast<LogLevel>(i);
    }
    return name == "off" ? std::optional(LogLevel::off) : std::nullopt;
}

struct Logger::Core {
    explicit Core(Options o) : options(std::move(o)), sink(make_sink(options)) {}

    // How many lines were left out since the last one printed; nullopt when this one is left out
    // too.
    std::optional<uint64_t> admit(std::string_view component, std::string_view text) {
        const auto now = std::chrono::steady_clock::now();
        const std::lock_guard lock(mutex);
        if (repeats.size() >= kRepeatKeysMax) repeats.clear();
        std::string key(component);
        key += '\n';
        key += text;
        Repeats& entry = repeats[key];
        if (now - entry.window_start >= options.repeat_window) {
            const uint64_t left_out = entry.left_out;
            entry = {now, 1, 0};
            return left_out;
        }
        if (entry.count >= options.repeats_max) {
            ++entry.left_out;
            return std::nullopt;
        }
        ++entry.count;
        return 0;
    }

    struct Repeats {
        std::chrono::steady_clock::time_point window_start{};
        unsigned count = 0;
        uint64_t left_out = 0;
    };

    const Options options;
    const spdlog::sink_ptr sink;
    std::mutex mutex;
    std::map<std::string, Repeats> repeats;
};

Logger::Logger(Options options)
    : core_(std::make_shared<Core>(std::move(options))), component_("node") {}
Logger::Logger(std::shared_ptr<Core> core, std::string component)
    : core_(std::move(core)), component_(std::move(component)) {}

Logger Logger::named(std::string component) const {
    return Logger(core_, std::move(component));
}
bool Logger::enabled(LogLevel level) const {
    return level >= core_->options.level && level != LogLevel::off;
}

void Logger::log(LogLevel level, std::string_view text, Fields fields) const {
    if (!enabled(level)) return;
    const auto left_out = core_->admit(component_, text);
    if (!left_out) return;
    const std::string payload = core_->options.json ? render_json(text, fields, *left_out)
                                                    : render_human(text, fields, *left_out);
    core_->sink->log(spdlog::details::log_msg(component_, spdlog_level(level), payload));
}

void Logger::debug(std::string_view text, Fields fields) const {
    log(LogLevel::debug, text, fields);
}
void Logger::info(std::string_view text, Fields fields) const {
    log(LogLevel::info, text, fields);
}
void Logger::warn(std::string_view text, Fields fields) const {
    log(LogLevel::warn, text, fields);
}
void Logger::error(std::string_view text, Fields fields) const {
    log(LogLevel::error, text, fields);
}

Logger Logger::null() {
    return Logger(Options{.level = LogLevel::off, .sink = [](std::string_view) {}});
}

}  // namespace trainyard::runtime
