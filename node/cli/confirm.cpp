// SPDX-License-Identifier: Apache-2.0
// Yes or no.
#include "node/cli/confirm.hpp"

#include <cstdio>
#include <iostream>

#include <unistd.h>

namespace trainyard::node::cli {

bool can_ask() {
    return ::isatty(STDIN_FILENO) == 1;
}

bool confirmed(const std::string& question) {
    std::fprintf(stderr, "%s [y/N] ", question.c_str());
    std::fflush(stderr);
    std::string answer;
    return std::getline(std::cin, answer) && (answer == "y" || answer == "yes");
}

}  // namespace trainyard::node::cli
