// SPDX-License-Identifier: Apache-2.0
// roff, as far as a list of commands needs it.
#include "node/cli/manual.hpp"

namespace trainyard::node::cli {
namespace {

/// A text line: hyphens that can be copied, no escapes, no requests.
std::string plain(std::string_view text) {
    std::string out;
    if (text.starts_with('.') || text.starts_with('\'')) out += "\\&";
    for (const char c : text) {
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else
            out += c == '\n' ? ' ' : c;
    }
    return out;
}

constexpr std::string_view kFrame =
    ".SH EXIT STATUS\n"
    "0: done. 1: failed. 2: wrong usage. Some commands have more, which their help lists.\n"
    ".SH ENVIRONMENT\n"
    "TRAINYARD_HOME: folder of keystores. TRAINYARD_HTTP_PORT and the like: settings of the node, "
    "which\n.B trainyard node \\-\\-help\nlists. NO_COLOR: no colours.\n"
    ".SH FILES\n"
    ".I /etc/trainyard\nhas the settings of the services,\n.I /var/lib/trainyard*\ntheir keys and "
    "data,\n.I /usr/share/doc/trainyard\nthe documents.\n";

}  // namespace

std::string manual_page(std::string_view version, const std::vector<CommandWords>& commands) {
    std::string out = ".TH TRAINYARD 1 \"\" \"trainyard " + plain(version) +
                      "\"\n.SH NAME\n"
                      "trainyard \\- proof\\-of\\-stake ledger for verifiable AI training\n"
                      ".SH SYNOPSIS\n.B trainyard\n[\\-\\-json] [\\-q] COMMAND [FLAGS]\n"
                      ".SH COMMANDS\nEach explains its flags with\n.BR \\-\\-help .\n";
    for (const auto& command : commands)
        if (!command.path.empty())
            out += ".TP\n.B " + plain(command.path) + "\n" + plain(command.help) + "\n";
    return out + std::string(kFrame);
}

}  // namespace trainyard::node::cli
