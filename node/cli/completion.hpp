// SPDX-License-Identifier: Apache-2.0
// Shell completion scripts from the list of commands and flags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trainyard::node::cli {

/// One command with the words that may follow it.
struct CommandWords {
    std::string path;                ///< "job submit"; empty for the program itself
    std::vector<std::string> words;  ///< subcommands and flags
    std::string help;
};

/// The script for "bash", "zsh" or "fish"; empty for any other shell.
[[nodiscard]] std::string completion_script(std::string_view shell,
                                            const std::vector<CommandWords>& commands);

}  // namespace trainyard::node::cli
