// SPDX-License-Identifier: Apache-2.0
// Keystores, passwords and the development accounts.
#include "node/cli/keys.hpp"

#include <cstdio>
#include <cstdlib>

#include <termios.h>
#include <unistd.h>

#include "node/cli/confirm.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/hd.hpp"
#include "node/wallet/keystore.hpp"

namespace trainyard::node::cli {
namespace {

/// Turns the terminal's echo off while it lives.
class Silence {
public:
    Silence() {
        ::tcgetattr(STDIN_FILENO, &before_);
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    ~Silence() { ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_); }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;

private:
    termios before_{};
};

void trim_line_end(std::string& text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
}

}  // namespace

Result<std::string, std::string> ask_password(const std::string& prompt,
                                              const std::string& password_file) {
    if (!password_file.empty()) {
        auto content = wallet::read_text(password_file, 4096);
        if (!content) return unexpected(content.error().text);
        trim_line_end(*content);
        return std::move(*content);
    }
    if (!can_ask())
        return unexpected(std::string("a password is needed; give --password-file FILE"));
    std::fprintf(stderr, "%s: ", prompt.c_str());
    std::string password;
    {
        const Silence silence;
        for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar())
            password += static_cast<char>(c);
    }
    std::fputc('\n', stderr);
    return password;
}

Result<SecretKey, std::string> open_key(const KeyChoice& choice) {
    if (choice.key.empty())
        return unexpected(
            std::string("no key given; use --key KEYSTORE, or --key dev:0 on a devnet"));
    if (choice.key.starts_with("dev:")) {
        const auto number = choice.key.substr(4);
        const bool digit = number.size() == 1 && number[0] >= '0' && number[0] <= '9';
        const auto key = digit ? wallet::account_key(wallet::kDevMnemonic,
                                                     static_cast<uint32_t>(number[0] - '0'))
                               : std::nullopt;
        if (!key) return unexpected("'" + choice.key + "' is none of dev:0 to dev:9");
        return *key;
    }
    const auto json = wallet::read_text(choice.key, 65536);
    if (!json) return unexpected(json.error().text);
    const auto password = ask_password("password of " + choice.key, choice.password_file);
    if (!password) return unexpected(password.error());
    const auto key = wallet::open_keystore(*json, *password);
    if (!key) return unexpected("'" + choice.key + "': " + key.error().text);
    return *key;
}

std::string home_folder() {
    if (const char* own = std::getenv("TRAINYARD_HOME"); own != nullptr && *own != 0) return own;
    if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data != 0)
        return std::string(data) + "/trainyard";
    const char* home = std::getenv("HOME");
    return std::string(home != nullptr ? home : ".") + "/.local/share/trainyard";
}

}  // namespace trainyard::node::cli
