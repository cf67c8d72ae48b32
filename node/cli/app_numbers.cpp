// SPDX-License-Identifier: Apache-2.0
// What numbers on the command line may look like.
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "node/cli/app_arguments.hpp"

namespace trainyard::node::cli {
namespace {

/// Writes the number as CLI11 reads it. Left alone that takes "-1" for 2^64 - 1, what is larger
/// for the largest number there is, and "010" for 8.
std::string make_whole(std::string& text) {
    const bool is_hexadecimal = text.starts_with("0x");
    const char* const first = text.data() + (is_hexadecimal ? 2 : 0);
    const char* const last = text.data() + text.size();
    uint64_t number = 0;
    const auto read = std::from_chars(first, last, number, is_hexadecimal ? 16 : 10);
    if (read.ec == std::errc::result_out_of_range) return "'" + text + "' is too large";
    if (read.ec != std::errc{} || read.ptr != last)
        return "'" + text + "' is not a whole number from 0 on";
    text = std::to_string(number);
    return "";
}

/// How many bytes a unit is, whatever its case: those of memory are powers of 1,024.
std::optional<double> bytes_of_unit(std::string unit) {
    for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    double bytes = 1;
    for (const std::string prefix : {"", "k", "m", "g", "t"}) {
        const bool is_bytes = prefix.empty() && (unit.empty() || unit == "b");
        if (is_bytes ||
            (!prefix.empty() && (unit == prefix || unit == prefix + "b" || unit == prefix + "ib")))
            return bytes;
        bytes *= 1024;
    }
    return std::nullopt;
}

std::string make_bytes(std::string& text) {
    constexpr double kMost = 1e18;
    double number = 0;
    const char* const last = text.data() + text.size();
    const auto read = std::from_chars(text.data(), last, number, std::chars_format::fixed);
    const char* unit = read.ptr;
    while (unit != last && *unit == ' ') ++unit;
    const auto bytes = bytes_of_unit({unit, last});
    if (read.ec != std::errc{} || !bytes)
        return "'" + text + "' is no size like 512M, 1.5G or 2GiB";
    const double size = std::floor(number * *bytes);
    if (!(size >= 1 && size <= kMost)) return "'" + text + "' is no size above 0 that memory has";
    text = std::to_string(static_cast<uint64_t>(size));
    return "";
}

}  // namespace

CLI::Validator number_within(const std::string& what, double least, double most) {
    const auto check = [what, least, most](const std::string& text) -> std::string {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        const bool is_whole = !text.empty() && *end == '\0';
        return is_whole && value >= least && value <= most ? "" : "'" + text + "' is not " + what;
    };
    return {check, "NUMBER"};
}

CLI::Validator whole_within(uint64_t least, uint64_t most) {
    const auto range = std::to_string(least) + " to " + std::to_string(most);
    const auto check = [range, least, most](const std::string& text) -> std::string {
        uint64_t value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);  // whole by now
        return value >= least && value <= most ? "" : "'" + text + "' is not from " + range;
    };
    return {check, most == UINT32_MAX ? "POSITIVE" : range};
}

void take_bytes(CLI::Option* option) {
    option->type_name("SIZE")->transform(CLI::Validator(make_bytes, ""));
}

void take_whole_numbers(CLI::App& app) {
    for (auto* option : app.get_options())
        if (option->get_type_name().starts_with("UINT"))
            option->transform(CLI::Validator(make_whole, ""));
    for (auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
        take_whole_numbers(*sub);
}

}  // namespace trainyard::node::cli
