// SPDX-License-Identifier: Apache-2.0
// The command line as a whole, the shared flags, and the commands that run nodes.
#include "node/cli/app.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string_view>

#include <unistd.h>

#include "core/checksum.hpp"
#include "node/cli/app_arguments.hpp"
#include "node/cli/completion.hpp"
#include "node/cli/environment.hpp"
#include "node/cli/keys.hpp"
#include "node/cli/manual.hpp"
#include "node/cli/node_check.hpp"
#include "node/cli/node_command.hpp"
#include "node/cli/version.hpp"
#include "node/config/node_config.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::cli {

namespace {
constexpr const char* kForAll = "For --json and --quiet see `trainyard --help`.";

/// Whose a development key is that stands where an address is expected; else empty.
std::string owner_of(const std::string& text) {
    if (!text.starts_with("dev:")) return "";
    const auto key = open_key({text, ""});
    return key ? " but the key of " + to_hex0x(address_of(*key)->bytes) : "";
}

/// Memory that is not to be had ends the command with words and an exit code, not with an abort.
template <bool json>
[[noreturn]] void end_without_memory() {
    constexpr std::string_view kText = json ? "{\"error\":\"not enough memory\"}\n"
                                            : "error: not enough memory\n";
    static_cast<void>(!::write(STDERR_FILENO, kText.data(), kText.size()));
    ::_exit(kFailed);
}
}  // namespace

CLI::App* command(CLI::App& parent, const std::string& name, const std::string& help,
                  const std::string& example, Run run, Arguments& a) {
    auto* sub = parent.add_subcommand(name, help);
    if (!example.empty()) sub->footer("Example:\n  " + example + "\n" + kForAll);
    if (run) sub->callback([&a, run] { a.run = run; });
    return sub;
}

CLI::App* group(CLI::App& parent, const std::string& name, const std::string& help) {
    auto* sub = parent.add_subcommand(name, help);
    sub->require_subcommand(1);
    return sub;
}

void add_rpc(CLI::App* sub, std::string& rpc) {
    sub->add_option("--rpc", rpc, "URL of a node's JSON-RPC")->capture_default_str();
}

CLI::Option* add_key(CLI::App* sub, KeyChoice& key) {
    sub->add_option("--password-file", key.password_file, "file with the keystore's password")
        ->type_name("PATH");
    return sub->add_option("--key", key.key, "keystore file, or dev:0 to dev:9 on a devnet")
        ->type_name("KEY");
}

CLI::Validator an_address() {
    const auto check = [](const std::string& text) -> std::string {
        const auto address = fixed_from_hex<Address>(text);
        if (!address) return "'" + text + "' is no address" + owner_of(text);
        if (has_checksum_of(text, *address)) return "";
        return "'" + text + "' is mistyped: its capitals are not those of its checksum (EIP-55)";
    };
    return {check, ""};
}

void add_size(CLI::App* sub, const std::string& flag, uint32_t& size, const std::string& help) {
    sub->add_option(flag, size, help)->check(whole_within(1, UINT32_MAX));
}

void add_gpt_sizes(CLI::App* sub, TemplateArgs& g) {
    add_size(sub, "--layers", g.layers, "transformer blocks [4]");
    add_size(sub, "--width", g.width, "model width [128]");
    add_size(sub, "--heads", g.heads, "attention heads [4]");
    add_size(sub, "--sequence", g.sequence, "tokens of a sequence [128]");
    sub->add_option("--tokenizer", g.tokenizer, "file of `data prepare --merges`")
        ->type_name("PATH");
}

void add_run(CLI::App* sub, TemplateArgs& g) {
    add_size(sub, "--steps", g.steps, "optimiser steps [200]");
    add_size(sub, "--micro-batches", g.micro_batches, "micro-batches of a step [4]");
    add_size(sub, "--sequences", g.sequences, "sequences of a micro-batch [4]");
    add_size(sub, "--segment", g.segment, "steps of a segment [20]");
    sub->add_option("--learning-rate", g.learning_rate, "highest learning rate [by template]")
        ->check(number_within("a number above 0 and at most 1", kLeastPositive, 1));
    sub->add_option("--optimiser", g.optimiser, "adamw, or sgd with momentum")
        ->check(CLI::IsMember({"adamw", "sgd"}))
        ->capture_default_str();
    sub->add_option("--recipe", g.recipe, "rmp-1, or fp32 for comparison")
        ->check(CLI::IsMember({"rmp-1", "fp32"}))
        ->capture_default_str();
}

void add_gpt(CLI::App* sub, TemplateArgs& g) {
    add_gpt_sizes(sub, g);
    add_run(sub, g);
}

void add_devices(CLI::App* sub, uint32_t& threads, bool& no_cuda) {
    sub->add_option("--threads", threads, "threads of the CPU path")
        ->check(whole_within(1, 256))
        ->capture_default_str();
    sub->add_flag("--no-cuda", no_cuda, "use the CPU even where there is a GPU");
}

namespace {

void add_devnet(CLI::App& app, Arguments& a) {
    auto* devnet = group(app, "devnet", "a whole network on this machine");
    auto* init = command(
        *devnet, "init", "make genesis, keys and settings", "trainyard devnet init --dir devnet",
        [&a] { return run_devnet_init(a.out, a.devnet); }, a);
    auto* up = command(
        *devnet, "up", "run it until Ctrl-C; made first if it is not there",
        "trainyard devnet up --dir devnet --http-port 8545\n"
        "  trainyard devnet up --set workPerBlock=1000000000000   (all validators have GPUs)",
        [&a] { return run_devnet_up(a.out, a.devnet); }, a);
    auto* demo = command(
        *devnet, "demo", "train a model for a funded contract, and catch a cheat",
        "trainyard devnet demo --data book.txt --keep",
        [&a] { return run_devnet_demo(a.out, a.devnet); }, a);
    for (auto* sub : {init, up})
        sub->add_option("--dir", a.devnet.folder, "folder of the network")->capture_default_str();
    for (auto* sub : {init, up, demo}) {
        sub->add_option("--validators", a.devnet.validators, "nodes that vote")
            ->check(whole_within(1, 16))
            ->capture_default_str();
        sub->add_option("--http-port", a.devnet.http_port, "of the first node; 0: free ports")
            ->capture_default_str();
        sub->add_option("--seed", a.devnet.seed, "of the chain's randomness; 0: random");
        sub->add_option("--set", a.devnet.settings,
                        "another value for a number of the chain spec or its contracts, such as "
                        "blockIntervalMs, workPerBlock or unstakeBlocks; may be repeated")
            ->type_name("NAME=NUMBER")
            ->take_all();
    }
    up->add_option("--providers", a.devnet.providers, "providers")->capture_default_str();
    demo->add_option("--data", a.devnet.data, "file or folder with text [common licences]");
    demo->add_option("--out", a.devnet.out, "folder for the model and the receipt")
        ->capture_default_str();
    demo->add_flag("--keep", a.devnet.keep, "leave the network running, print its URL");
    demo->add_option("--segments", a.devnet.segments, "segments of the first job")
        ->check(whole_within(1, 1000))
        ->capture_default_str();
    demo->add_option("--segment-steps", a.devnet.segment_steps, "steps of a segment")
        ->check(whole_within(1, 256))
        ->capture_default_str();
    demo->add_flag("--no-cheat", a.devnet.skip_cheat, "leave out the second job");
    for (auto* sub : {up, demo}) add_devices(sub, a.devnet.threads, a.devnet.no_cuda);
}

int run_configured_node(Arguments& a) {
    config::NodeConfig config;
    if (!a.config_file.empty()) {
        const auto text = wallet::read_text(a.config_file, 1 << 20);
        if (!text) return a.out.fail(text.error().text);
        if (auto done = config::apply_toml(config, *text, a.config_file); !done)
            return a.out.fail(done.error().text()), kUsage;
    }
    const auto lookup = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
    if (auto done = config::apply_environment(config, lookup); !done)
        return a.out.fail(done.error().text()), kUsage;
    for (const auto& [key, values] : a.node) {
        std::string joined;
        for (const auto& value : values) joined += (joined.empty() ? "" : ",") + value;
        if (values.empty()) continue;
        if (auto done = config::apply_setting(config, key, joined, "--" + key); !done)
            return a.out.fail(done.error().text()), kUsage;
    }
    if (a.no_doppelganger_check) config.doppelganger_check = false;
    config.accuses = a.node_fault == "accuse";
    if (!config.accuses && a.node_fault != "none")
        return a.out.fail("--fault '" + a.node_fault + "' is not known"), kUsage;
    if (a.print_config) return a.out.line(config::write_toml(config)), kOk;
    if (a.check_node) return run_node_check(a.out, config);
    return run_node(config);
}

/// "--http.port,--http-port": as the settings file spells it, and as a shell user may.
std::string flag_names(const std::string& key) {
    if (key.find('.') == std::string::npos) return "--" + key;
    std::string dashed = key;
    std::replace(dashed.begin(), dashed.end(), '.', '-');
    return "--" + key + ",--" + dashed;
}

void add_node(CLI::App& app, Arguments& a) {
    auto* node = command(
        app, "node", "run a node; with --keys it is a validator",
        "trainyard node --genesis genesis.json --datadir data --keys keys --check\n"
        "  trainyard node --genesis genesis.json --datadir data --keys keys\n"
        "  trainyard node --genesis genesis.json --datadir data --sync state --trust 812:0x…",
        [&a] { return run_configured_node(a); }, a);
    node->add_option("--config", a.config_file, "TOML file; flags and TRAINYARD_* variables win");
    node->add_flag("--print-config", a.print_config, "print the effective settings and end");
    node->add_flag("--check", a.check_node, "say whether this machine is fit for that, and end");
    node->add_flag("--no-doppelganger-check", a.no_doppelganger_check,
                   "vote at once: you are sure that no other machine has the key");
    node->add_option("--fault", a.node_fault,
                     "TEST ONLY, lies in audits and is fined: accuse (whatever a segment, its "
                     "replay is said to differ)");
    a.node.reserve(config::settings().size());
    for (const auto& setting : config::settings()) {
        auto& values = a.node.emplace_back(NodeFlag{setting.key, {}}).values;
        const std::string help = setting.help + " (" + config::variable_of(setting) + ")";
        auto* option = node->add_option(flag_names(setting.key), values, help);
        const std::string preset = setting.get(config::NodeConfig{});
        const std::string kind = setting.is_flag ? "[BOOL]" : setting.is_list ? "LIST" : "VALUE";
        option->option_text(preset.empty() ? kind : kind + "=" + preset);
        if (!setting.is_list) option->expected(setting.is_flag ? 0 : 1, 1);
        if (setting.is_flag) option->default_str("true");
    }
}

/// Commands and flags that may come after `app`, without those of the whole program.
std::vector<std::string> words_after(const CLI::App& app) {
    std::vector<std::string> words;
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
        if (!sub->get_group().empty()) words.push_back(sub->get_name());
    for (const auto* option : app.get_options())
        for (const auto& name : option->get_lnames()) words.push_back("--" + name);
    return words;
}

void collect(const CLI::App& app, const std::string& path, std::vector<CommandWords>& out) {
    CommandWords entry{path, words_after(app), app.get_description()};
    if (!path.empty()) entry.words.insert(entry.words.end(), {"--json", "--quiet"});
    out.push_back(entry);
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
        if (!sub->get_group().empty())
            collect(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), out);
}

void add_small(CLI::App& app, Arguments& a) {
    const auto commands = [&app] {
        std::vector<CommandWords> words;
        collect(app, "", words);
        return words;
    };
    auto* completion = command(
        app, "completion", "script for a shell's completion",
        "trainyard completion bash > /etc/bash_completion.d/trainyard",
        [&a, commands] {
            auto text = completion_script(a.shell, commands());
            text.pop_back();
            a.out.line(text);
            return kOk;
        },
        a);
    completion->add_option("shell", a.shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    command(
        app, "manual", "the manual page, for `man`", "trainyard manual | man -l -",
        [&a, commands] {
            auto text = manual_page(kVersion, commands());
            text.pop_back();
            a.out.line(text);
            return kOk;
        },
        a);
    command(
        app, "version", "the version of this program", "",
        [&a] {
            a.out.line(a.out.json ? "{\"version\":\"" + std::string(kVersion) + "\"}"
                                  : "trainyard " + std::string(kVersion));
            return kOk;
        },
        a);
}

/// CLI11's words, where others say it better.
std::string plain_words(const CLI::ParseError& error) {
    const std::string said = error.what();
    const std::string name = said.substr(0, said.find(": "));
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr &&
        said.find("At Most 1 required") != std::string::npos)
        return name + " is given more than once";
    // Whole numbers are checked before, so it is only that they do not fit.
    const std::string unfit = "Could not convert: ";
    const auto equal = said.find(" = ");
    if (!said.starts_with(unfit) || equal == std::string::npos) return said;
    return said.substr(unfit.size(), equal - unfit.size()) + ": '" + said.substr(equal + 3) +
           "' is too large";
}

/// What is wrong with the command line, what was probably meant, and where to read on.
std::string usage_words(const CLI::App& app, const CLI::ParseError& error) {
    const CLI::App* at = &app;
    std::string path = app.get_name();
    for (auto named = at->get_subcommands(); !named.empty(); named = at->get_subcommands()) {
        at = named.front();
        path += " " + at->get_name();
    }
    const std::string see = "; see `" + path + " --help`";
    const auto unknown = app.remaining(true);
    const bool lacks_command = at->get_require_subcommand_min() > at->get_subcommands().size();
    if (unknown.empty()) return (lacks_command ? "a command is missing" : plain_words(error)) + see;
    const std::string& word = unknown.front();
    const auto known = words_after(*at);
    const auto near = config::nearest_name(word, known.data(), known.size());
    const bool is_flag = word.starts_with("-");
    const std::string what = is_flag         ? "no flag '"
                             : lacks_command ? "no command '"
                                             : "unexpected '";
    return what + word + "'" + (near.empty() ? "" : " (did you mean '" + near + "'?)") + see;
}

/// A result that did not reach its file, on a full disk say, is a failure whatever else went well.
int code_after_output(const Output& out, int code) {
    if (wrote_all_lines() || code != kOk) return code;
    return out.fail("not all of the output could be written to stdout: is the disk full?");
}

void warn_of_unknown_variables(const Output& out) {
    for (const auto& name : unknown_variables(variable_names())) {
        out.say("warning: " + unknown_variable_text(name) + "; it has no effect");
        ::unsetenv(name.c_str());  // or nodes and verifiers that this process starts say so again
    }
}

}  // namespace

int run_app(int argc, char** argv) {
    CLI::App app{"Trainyard: a proof-of-stake EVM ledger for verifiable AI training", "trainyard"};
    wrap_help(app);
    app.footer(
        "Exit codes: 0 done, 1 failed, 2 wrong usage. `trainyard COMMAND --help` has examples.");
    app.require_subcommand(1);
    app.fallthrough();
    Arguments a;
    app.add_flag("--json", a.out.json, "results and errors as JSON, one value per line");
    app.add_flag("-q,--quiet", a.out.quiet, "no messages on stderr but errors");
    app.set_version_flag("--version", "trainyard " + std::string(kVersion));
    add_devnet(app, a);
    add_node(app, a);
    add_provider(app, a);
    add_job(app, a);
    add_model(app, a);
    add_light(app, a);
    add_verify(app, a);
    add_training(app, a);
    add_data(app, a);
    add_program(app, a);
    add_account(app, a);
    add_validator(app, a);
    add_signer(app, a);
    add_status(app, a);
    add_peers(app, a);
    add_debug(app, a);
    add_protection(app, a);
    add_genesis(app, a);
    add_import(app, a);
    add_snapshot(app, a);
    add_small(app, a);
    take_whole_numbers(app);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0)  // help or version
            return app.exit(error), code_after_output(a.out, kOk);
        a.out.json = app.count("--json") > 0;
        return a.out.fail(usage_words(app, error)), kUsage;
    }
    std::set_new_handler(a.out.json ? end_without_memory<true> : end_without_memory<false>);
    warn_of_unknown_variables(a.out);
    return a.run ? code_after_output(a.out, a.run()) : kUsage;
}

}  // namespace trainyard::node::cli
