// SPDX-License-Identifier: Apache-2.0
// Where a command's account key comes from: a keystore file or a development account.
#pragma once

#include <string>

#include "core/keys.hpp"
#include "core/result.hpp"

namespace trainyard::node::cli {

/// How the user names a key. Secrets are never given on the command line.
struct KeyChoice {
    std::string key;            ///< path of a keystore, or "dev:0" … "dev:9"
    std::string password_file;  ///< for keystores; empty: ask at the terminal
};

/// The error is text for the user.
[[nodiscard]] Result<SecretKey, std::string> open_key(const KeyChoice& choice);
/// Asks on the terminal without echo; the error says how to do without a terminal.
[[nodiscard]] Result<std::string, std::string> ask_password(const std::string& prompt,
                                                            const std::string& password_file);
/// $TRAINYARD_HOME, else $XDG_DATA_HOME/trainyard, else ~/.local/share/trainyard.
[[nodiscard]] std::string home_folder();

}  // namespace trainyard::node::cli
