// SPDX-License-Identifier: Apache-2.0
// The node's log: one line per event for people, or one JSON object per line for machines.
#pragma once

#include <chrono>
#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.hpp"

namespace trainyard::runtime {

enum class LogLevel : uint8_t { debug, info, warn, error, off };

[[nodiscard]] std::optional<LogLevel> log_level_from(std::string_view name);

/// A named value of a log line; numbers stay numbers in the JSON form.
struct Field {
    std::string_view key;
    std::string value;
    bool is_number = false;

    Field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
    Field(std::string_view k, std::string_view v) : key(k), value(v) {}
    Field(std::string_view k, const char* v) : key(k), value(v) {}
    Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), is_number(true) {}
    template <std::integral T>
    requires(!std::same_as<T, bool>) Field(std::string_view k, T v)
        : key(k), value(std::to_string(v)), is_number(true) {}
    template <size_t N, class Tag>
    Field(std::string_view k, const FixedBytes<N, Tag>& v) : key(k), value(to_hex0x(v.bytes)) {}
};

using Fields = std::initializer_list<Field>;

/// A handle to the log, with the name of the component that writes; cheap to copy, any thread.
///
/// The text is constant and says what happened; what varies goes into the fields. Of one text at
/// most `repeats_max` lines appear per `repeat_window`; then one line says how many were left out.
class Logger {
public:
    struct Options {
        LogLevel level = LogLevel::info;
        bool json = false;
        bool colour = true;  ///< used only where stderr is a terminal and NO_COLOR is unset
        unsigned repeats_max = 10;
        std::chrono::milliseconds repeat_window{10'000};
        /// Where lines go instead of stderr, without a line end; called by one thread at a time.
        std::function<void(std::string_view)> sink;
    };

    explicit Logger(Options options);
    Logger() : Logger(Options{}) {}

    /// The same log under another component name.
    [[nodiscard]] Logger named(std::string component) const;
    [[nodiscard]] bool enabled(LogLevel level) const;

    void log(LogLevel level, std::string_view text, Fields fields = {}) const;
    void debug(std::string_view text, Fields fields = {}) const;
    void info(std::string_view text, Fields fields = {}) const;
    void warn(std::string_view text, Fields fields = {}) const;
    void error(std::string_view text, Fields fields = {}) const;

    /// A logger that writes nothing.
    [[nodiscard]] static Logger null();

private:
    struct Core;
    Logger(std::shared_ptr<Core> core, std::string component);
    std::shared_ptr<Core> core_;
    std::string component_;
};

}  // namespace trainyard::runtime
