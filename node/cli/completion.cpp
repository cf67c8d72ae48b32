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

/// `count` words after the first come before the one that is typed. A variable called `path` would
/// be zsh's PATH.
std::string path_loop(const char* words, const char* count) {
    return std::string("  local typed=\"\" word next\n  for word in \"${") + words +
           "[@]:1:" + count +
           "}\"; do\n    case \"$word\" in -*) ;; *)\n"
           "      next=\"${typed:+$typed }$word\"\n"
           "      [ -n \"$(_trainyard_words \"$next\")\" ] && typed=\"$next\" ;;\n    esac\n  "
           "done\n";
}

/// Flags stand last and are offered for a word that begins like one: where a command has nothing
/// else the shell offers files, as for the value of a flag.
std::string offered_list(const std::string& typed_word) {
    return "  local now=\"" + typed_word + "\" list=\" $(_trainyard_words \"$typed\")\"\n" +
           "  case \"$now\" in -*) ;; *) list=\"${list%% -*}\" ;; esac\n";
}

std::string fish(const std::vector<CommandWords>& commands) {
    std::string out = "function _trainyard_words\n  switch \"$argv\"\n";
    for (const auto& command : commands)
        out +=
            "    case '" + command.path + "'\n      printf '%s\\n' " + joined(command.words) + "\n";
    return out +
           "  end\nend\n"
           "function _trainyard\n  set -l path\n"
           "  for word in (commandline -opc)[2..-1]\n"
           "    string match -q -- '-*' $word; and continue\n"
           "    test -n \"$(_trainyard_words $path $word)\"; and set -a path $word\n  end\n"
           "  _trainyard_words $path\nend\n"
           "complete -c trainyard -a '(_trainyard)'\n";
}

}  // namespace

std::string completion_script(std::string_view shell, const std::vector<CommandWords>& commands) {
    if (shell == "fish") return fish(commands);
    if (shell == "bash")
        return lookup_function(commands) + "_trainyard() {\n" +
               path_loop("COMP_WORDS", "$((COMP_CWORD-1))") +
               offered_list("${COMP_WORDS[COMP_CWORD]}") +
               "  COMPREPLY=($(compgen -W \"$list\" -- \"$now\"))\n}\ncomplete -o default -F "
               "_trainyard trainyard\n";
    if (shell == "zsh")
        return "#compdef trainyard\n" + lookup_function(commands) + "_trainyard() {\n" +
               path_loop("words", "$((CURRENT-2))") + offered_list("${words[CURRENT]}") +
               "  compadd -- ${=list}\n  _files\n}\ncompdef _trainyard "
               "trainyard\n"
               // Loaded by zsh itself this is the body of a function, which is asked already.
               "if [ \"$funcstack[1]\" = _trainyard ]; then _trainyard; fi\n";
    return "";
}

}  // namespace trainyard::node::cli
