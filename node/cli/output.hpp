// SPDX-License-Identifier: Apache-2.0
// How commands speak: results on stdout, messages on stderr, JSON where asked, colour where
// welcome.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "node/wallet/coins.hpp"

namespace trainyard::node::cli {

/// Exit codes of every command.
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

struct Output {
    bool json = false;
    bool quiet = false;

    void line(std::string_view text) const;  ///< a result, stdout
    void say(std::string_view text) const;   ///< a message, stderr; nothing when quiet
    /// "error: ..." on stderr, with `json` {"error": "..."}; gives kFailed.
    int fail(std::string_view text) const;
};

/// False where something that `line` was given did not get into the file behind stdout.
[[nodiscard]] bool wrote_all_lines();

/// True where stdout and stderr are terminals, NO_COLOR is unset or empty, and TERM is not dumb.
[[nodiscard]] bool has_colour();
[[nodiscard]] std::string bold(std::string_view text);
[[nodiscard]] std::string green(std::string_view text);
[[nodiscard]] std::string red(std::string_view text);
[[nodiscard]] std::string yellow(std::string_view text);
[[nodiscard]] std::string dim(std::string_view text);

using wallet::coins;
using wallet::in_coins;
using wallet::parse_coins;
[[nodiscard]] std::string short_hex(BytesView bytes);      ///< "0x1234…abcd"
[[nodiscard]] std::string seconds_text(uint64_t seconds);  ///< "1m 05s"
[[nodiscard]] std::string utc_text(uint64_t unix_s);       ///< "2026-01-31T23:59:59Z"

/// One line that is written over and over on a terminal; plain lines every few seconds elsewhere;
/// nothing where `out` is quiet or JSON.
class ProgressLine {
public:
    explicit ProgressLine(const Output& out);
    ~ProgressLine();
    void show(const std::string& text);
    /// Ends the animated line so that other text can follow.
    void clear();

private:
    bool is_silent_, animate_;
    bool drawn_ = false;
    uint64_t last_ms_ = 0;
};

[[nodiscard]] std::string fixed_text(double value, int digits);
[[nodiscard]] std::string bar_text(uint64_t done, uint64_t of);  ///< "██████░░░░", 24 wide
/// "█▄▂▁": the last `width` of the values between their least and their greatest.
[[nodiscard]] std::string sparkline(const std::vector<float>& values, size_t width = 24);

struct Progress {
    uint32_t step = 0, steps = 0;
    float loss = 0;
    double tokens_per_s = 0, tops = 0;
    uint64_t seconds_left = 0;
    uint32_t committed = 0, accepted = 0, segments = 0;  ///< none outside a job
};
[[nodiscard]] std::string progress_text(const Progress& progress);

/// Rates over the steps of one process; a step that comes long after the one before counts alone.
class RateMeter {
public:
    void on_step(uint32_t step, uint64_t now_ms);
    [[nodiscard]] double steps_per_s() const { return steps_per_s_; }

private:
    uint32_t last_step_ = 0;
    uint64_t last_ms_ = 0;
    double steps_per_s_ = 0;
};

[[nodiscard]] uint64_t steady_ms();
[[nodiscard]] uint64_t unix_seconds();

}  // namespace trainyard::node::cli
