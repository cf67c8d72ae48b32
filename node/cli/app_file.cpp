// SPDX-License-Identifier: Apache-2.0
// The flags of a command from a TOML file, and such a file from the flags in force.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "node/cli/app_arguments.hpp"
#include "node/config/flat_toml.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::cli {
namespace {

namespace fs = std::filesystem;
using config::ConfigError, config::ConfigErrorCode, config::TomlKind, config::TomlValue;

/// What a flag takes, by the type that its help names.
enum class Kind { flag, whole, number, amount, text, path, key };

constexpr struct {
    std::string_view type;
    Kind kind;
    const char* words;
} kKinds[] = {
    {"UINT", Kind::whole, "a whole number"},
    {"FLOAT", Kind::number, "a number"},
    {"COINS", Kind::amount, "a number, or a string like \"3gwei\""},
    {"PATH", Kind::path, "a string"},
    {"KEY", Kind::key, "a string"},
};

Kind kind_of(const CLI::Option& option) {
    if (option.get_items_expected_min() == 0) return Kind::flag;
    const std::string type = option.get_type_name();  // with what its checks add after a colon
    for (const auto& row : kKinds)
        if (row.type == type.substr(0, type.find(':'))) return row.kind;
    return Kind::text;
}

const char* words_of(Kind kind) {
    if (kind == Kind::flag) return "true or false";
    for (const auto& row : kKinds)
        if (row.kind == kind) return row.words;
    return "a string";
}

bool fits(Kind kind, TomlKind given) {
    const bool is_number = given == TomlKind::integer || given == TomlKind::fraction;
    switch (kind) {
        case Kind::flag:
            return given == TomlKind::flag;
        case Kind::whole:
            return given == TomlKind::integer;
        case Kind::number:
            return is_number;
        case Kind::amount:
            return is_number || given == TomlKind::text;
        default:
            return given == TomlKind::text;
    }
}

/// "dev:0" names an account, everything else that a key can be is a file.
bool is_path(Kind kind, const std::string& text) {
    return kind == Kind::path || (kind == Kind::key && !text.starts_with("dev:"));
}

/// The flags that a file may set.
std::vector<CLI::Option*> flags_of(CLI::App& sub) {
    return sub.get_options([](const CLI::Option* option) {
        const auto& names = option->get_lnames();
        return !names.empty() && names.front() != "help" && names.front() != kFileFlag &&
               names.front() != kPrintFileFlag;
    });
}

ConfigError unknown_key(const std::vector<CLI::Option*>& flags, const TomlValue& value) {
    std::vector<std::string> names;
    for (const auto* flag : flags) names.push_back(flag->get_lnames().front());
    const auto near = config::nearest_name(value.key, names.data(), names.size());
    return {ConfigErrorCode::unknown_key, value.where, "unknown key '" + value.key + "'",
            near.empty() ? "its keys are the names of the flags" : "did you mean '" + near + "'?"};
}

/// Gives the flag this value as the command line would, through the flag's own checks.
Result<Done, ConfigError> give(CLI::Option& flag, const TomlValue& value, std::string text) {
    flag.add_result(std::move(text));
    try {
        flag.run_callback();
        return Done{};
    } catch (const CLI::ParseError& error) {
        std::string what = error.what();
        const std::string name = flag.get_name() + ": ";
        if (what.starts_with(name)) what.erase(0, name.size());
        return unexpected(ConfigError{ConfigErrorCode::bad_value, value.where,
                                      "'" + value.key + "': " + what, ""});
    }
}

Result<Done, ConfigError> apply_value(const std::vector<CLI::Option*>& flags,
                                      const TomlValue& value, const fs::path& folder) {
    const auto found = std::find_if(flags.begin(), flags.end(), [&](const CLI::Option* flag) {
        return flag->get_lnames().front() == value.key;
    });
    if (found == flags.end()) return unexpected(unknown_key(flags, value));
    const Kind kind = kind_of(**found);
    if (!fits(kind, value.kind))
        return unexpected(ConfigError{ConfigErrorCode::bad_value, value.where,
                                      "'" + value.key + "' has a value of the wrong type",
                                      words_of(kind)});
    if (!(*found)->empty()) return Done{};  // the command line wins
    const bool is_beside = is_path(kind, value.text) && !value.text.empty();
    return give(**found, value, is_beside ? (folder / value.text).string() : value.text);
}

/// What is wrong with the file, or nothing.
std::string load_flags(CLI::App& sub, const std::string& path) {
    const auto text = wallet::read_text(path, 1 << 20);
    if (!text) return text.error().text;
    const auto values = config::read_toml(*text, path);
    if (!values) return values.error().text();
    const auto flags = flags_of(sub);
    for (const auto& value : *values)
        if (auto done = apply_value(flags, value, fs::path(path).parent_path()); !done)
            return done.error().text();
    return "";
}

/// As a file in `folder` names it: an absolute path stays one, unless it lies there.
std::string path_from(const fs::path& folder, const std::string& text) {
    std::error_code failed;
    const auto here = fs::current_path(failed);
    if (failed) return text;
    const auto base = (here / folder / "").lexically_normal();
    const auto whole = (here / text).lexically_normal();
    const auto near = whole.lexically_relative(base);
    const bool is_outside = near.empty() || *near.begin() == "..";
    return is_outside && fs::path(text).is_absolute() ? text : near.string();
}

/// A number as TOML spells it: the command line also takes 0x10, .5 and 1e3.
std::string toml_number(Kind kind, const std::string& text) {
    if (kind == Kind::whole) return std::to_string(std::strtoull(text.c_str(), nullptr, 0));
    char out[32];
    const double value = std::strtod(text.c_str(), nullptr);
    return {out, std::to_chars(out, out + sizeof out, value).ptr};
}

std::string line_of(const CLI::Option& flag, const fs::path& folder) {
    const Kind kind = kind_of(flag);
    const std::string& name = flag.get_lnames().front();
    const auto& given = flag.results();
    const std::string text = given.empty() ? flag.get_default_str() : given.back();
    if (kind == Kind::flag) return name + " = " + (text == "true" ? "true" : "false");
    if (text.empty()) return "# " + name + " =";
    if (kind == Kind::whole || kind == Kind::number) return name + " = " + toml_number(kind, text);
    return name + " = " + config::toml_quoted(is_path(kind, text) ? path_from(folder, text) : text);
}

}  // namespace

void add_flag_file(CLI::App* sub, FlagFile& file) {
    // This check is the first to run once the command line is read, so that what the file says
    // goes the way of the flags that were given.
    const auto load = [sub](std::string& path) { return load_flags(*sub, path); };
    sub->add_option("--" + std::string(kFileFlag), file.path,
                    "TOML file whose keys are the flags below; those on the command line win")
        ->type_name("PATH")
        ->check(CLI::Validator(load, ""));
    sub->add_flag_callback(
        "--" + std::string(kPrintFileFlag),
        [sub, &file] {
            file.print = true;
            for (auto* flag : flags_of(*sub)) flag->required(false);
        },
        "print such a file with the values in force, and end");
}

std::string flag_file_text(CLI::App& sub, const FlagFile& file) {
    const auto folder = fs::path(file.path).parent_path();
    std::string out = "# Flags of `trainyard " + sub.get_parent()->get_name() + " " +
                      sub.get_name() + " --" + kFileFlag + "`. Paths are relative to this file.\n";
    for (const auto* flag : flags_of(sub))
        out += "\n# " + flag->get_description() + "\n" + line_of(*flag, folder) + "\n";
    return out;
}

}  // namespace trainyard::node::cli
