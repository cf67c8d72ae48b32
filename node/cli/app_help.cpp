// SPDX-License-Identifier: Apache-2.0
// Help whose lines are broken to the terminal's width.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <sstream>

#include <sys/ioctl.h>
#include <unistd.h>

#include "node/cli/app_arguments.hpp"

namespace trainyard::node::cli {
namespace {

constexpr size_t kNameWidth = 30, kWidthMin = 50, kWidthMax = 100;

/// Columns of a line; 0: lines are not broken, for whoever greps them.
size_t line_width() {
    size_t width = 0;
    if (const char* columns = std::getenv("COLUMNS")) {
        const std::string_view text(columns);
        std::from_chars(text.data(), text.data() + text.size(), width);
    }
    winsize terminal{};
    if (width == 0 && ::isatty(STDOUT_FILENO) == 1)
        width = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &terminal) == 0 && terminal.ws_col > 0
                    ? terminal.ws_col
                    : 80;
    return width == 0 ? 0 : std::clamp(width, kWidthMin, kWidthMax);
}

size_t characters(std::string_view utf8) {
    return static_cast<size_t>(
        std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// CLI11 indents what follows a line end in a description.
class WrappedFormatter final : public CLI::Formatter {
public:
    explicit WrappedFormatter(size_t width) : width_(width) { column_width(kNameWidth); }
    std::string make_description(const CLI::App* app) const override {
        return wrapped(CLI::Formatter::make_description(app), width_);
    }
    std::string make_option_desc(const CLI::Option* option) const override {
        return wrapped(CLI::Formatter::make_option_desc(option), width_ - kNameWidth);
    }
    std::string make_subcommand(const CLI::App* sub) const override {
        std::ostringstream out;
        CLI::detail::format_help(out, sub->get_display_name(true),
                                 wrapped(sub->get_description(), width_ - kNameWidth), kNameWidth);
        return out.str();
    }

private:
    size_t width_;
};

}  // namespace

std::string wrapped(std::string_view text, size_t width) {
    std::string out;
    size_t used = 0;  // of the line that is written
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find_first_of(" \n", at), text.size());
        const auto word = text.substr(at, end - at);
        const size_t size = characters(word);
        const bool is_first = out.empty() || out.back() == '\n';
        if (!is_first) {
            const bool fits = used + 1 + size <= width;
            out += fits ? ' ' : '\n';
            used = fits ? used + 1 : 0;
        }
        out += word;
        used += size;
        if (end < text.size() && text[end] == '\n') out += '\n', used = 0;
        at = end + 1;
    }
    return out;
}

void wrap_help(CLI::App& app) {
    if (const size_t width = line_width(); width > 0)
        app.formatter(std::make_shared<WrappedFormatter>(width));
}

}  // namespace trainyard::node::cli
