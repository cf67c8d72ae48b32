// SPDX-License-Identifier: Apache-2.0
// A case per command path; the same table serves all shells.
#include "node/cli/completion.hpp"

namespace trainyard::node::cli {
namespace {

std::string joined(const std::vector<std::string>& words) {
    std::string out;
    for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
    return out;
}

/// A function that looks up the words of the command path typed so far.
std::string lookup_function(const std::vector<CommandWords>& commands) {
    std::string out = "_trainyard_words() {\n  case \"$1\" in\n";
    for (const auto& command : commands)
        out += "    '" + command.path + "') echo '" + joined(command.words) + "' ;;\n";
    return out + "  esac\n}\n";
}

std::string path_loop(const char* words, const char* current) {
    return std::string("  local path=\"\" word\n  for word in \"${") + words + "[@]:1:" + current +
           "-1}\"; do\n    case \"$word\" in -*) ;; *)\n"
           "      [ -n \"$(_trainyard_words \"${path:+$path }$word\")\" ] && path=\"${path:+$path "
           "}$word\" ;;\n    esac\n  done\n";
}

std::string fish(const std::vector<CommandWords>& commands) {
    std::string out = "complete -c trainyard -f\n";
    for (const auto& command : commands) {
        const auto space = command.path.find(' ');
        std::string condition = "__fish_use_subcommand";
        if (!command.path.empty())
            condition = "__fish_seen_subcommand_from " + command.path.substr(0, space);
        if (space != std::string::npos)
            condition += "; and __fish_seen_subcommand_from " + command.path.substr(space + 1);
        for (const auto& word : command.words) {
            const bool flag = word.starts_with("--");
            out += "complete -c trainyard -n '" + condition + "' " +
                   (flag ? "-l " + word.substr(2) : "-a " + word) + "\n";
        }
    }
    return out;
}

}  // namespace

std::string completion_script(std::string_view shell, const std::vector<CommandWords>& commands) {
    if (shell == "fish") return fish(commands);
    if (shell == "bash")
        return lookup_function(commands) + "_trainyard() {\n" +
               path_loop("COMP_WORDS", "COMP_CWORD") +
               "  COMPREPLY=($(compgen -W \"$(_trainyard_words \"$path\")\" -- "
               "\"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _trainyard trainyard\n";
    if (shell == "zsh")
        return "#compdef trainyard\n" + lookup_function(commands) + "_trainyard() {\n" +
               path_loop("words", "CURRENT") +
               "  compadd -- ${=$(_trainyard_words \"$path\")}\n  _files\n}\ncompdef _trainyard "
               "trainyard\n";
    return "";
}

}  // namespace trainyard::node::cli
