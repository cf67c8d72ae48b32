// SPDX-License-Identifier: Apache-2.0
// Amounts, completion, genesis building and model folders behind the commands.
#include <filesystem>
#include <fstream>
#include <sstream>

#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash.hpp"
#include "node/cli/app.hpp"
#include "node/cli/completion.hpp"
#include "node/cli/genesis_build.hpp"
#include "node/cli/node_setup.hpp"
#include "node/cli/manual.hpp"
#include "node/cli/model_folder.hpp"
#include "node/cli/output.hpp"
#include "node/cli/programs.hpp"
#include "node/config/system_contracts.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/market.hpp"
#include "training/state_root.hpp"

namespace trainyard::node::cli {
namespace {

std::string temporary(const std::string& name) {
    return (std::filesystem::temp_directory_path() /
            ("cli_test_" + std::to_string(::getpid()) + "_" + name))
        .string();
}

int run(std::vector<std::string> words) {
    words.insert(words.begin(), "trainyard");
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    return run_app(static_cast<int>(arguments.size()), arguments.data());
}

TEST(amounts, coins_and_text_agree) {
    EXPECT_EQ(*parse_coins("1"), *parse_uint256("1000000000000000000"));
    EXPECT_EQ(*parse_coins("0.5"), *parse_uint256("500000000000000000"));
    EXPECT_EQ(*parse_coins("3gwei"), Uint256(3'000'000'000));
    EXPECT_EQ(*parse_coins("7wei"), Uint256(7));
    EXPECT_EQ(coins(*parse_coins("10.25")), "10.25");
    EXPECT_EQ(coins(Uint256(1)), "0.000000000000000001");
    EXPECT_EQ(coins(Uint256(0)), "0");
}

TEST(amounts, rejects_what_is_no_amount) {
    for (const auto* text : {"", "-1", "1.", ".5", "1e18", "0x10", "1,5", "1.5wei", "1 ",
                             "1.0000000000000000001", "wei"})
        EXPECT_FALSE(parse_coins(text)) << text;
}

TEST(app, help_is_broken_to_the_width_of_the_terminal_but_not_for_those_who_grep) {
    const auto before = std::getenv("COLUMNS");
    const std::string kept = before == nullptr ? "" : before;
    const auto help_at = [](const char* columns) {
        ::setenv("COLUMNS", columns, 1);
        testing::internal::CaptureStdout();
        EXPECT_EQ(run({"job", "submit", "--help"}), kOk);
        const auto text = testing::internal::GetCapturedStdout();
        return text.substr(0, text.find("Example:"));
    };
    const std::string whole = "do not ask before paying; without a terminal nobody is asked\n";
    EXPECT_NE(help_at("").find(whole), std::string::npos);
    EXPECT_NE(help_at("none").find(whole), std::string::npos);
    const auto narrow = help_at("70");
    const std::string indent(30, ' ');
    EXPECT_NE(narrow.find("do not ask before paying; without a\n" + indent), std::string::npos);
    std::istringstream lines(narrow);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 70U) << line;
    EXPECT_EQ(help_at("1"), help_at("50"));
    EXPECT_EQ(help_at("1000"), help_at("100"));
    before == nullptr ? ::unsetenv("COLUMNS") : ::setenv("COLUMNS", kept.c_str(), 1);
}

TEST(app, exit_codes_tell_usage_from_failure) {
    EXPECT_EQ(run({"version"}), kOk);
    EXPECT_EQ(run({"job", "submit", "--help"}), kOk);
    EXPECT_EQ(run({}), kUsage);
    EXPECT_EQ(run({"nonsense"}), kUsage);
    EXPECT_EQ(run({"job", "status"}), kUsage);
    EXPECT_EQ(run({"job", "status", "minus-one"}), kUsage);
    EXPECT_EQ(run({"program", "inspect", "/nonexistent"}), kFailed);
    EXPECT_EQ(run({"verify", "--case", "/nonexistent"}), kFailed);
    EXPECT_EQ(run({"verify"}), kUsage);
    EXPECT_EQ(run({"verify", "--follow"}), kUsage);
    EXPECT_EQ(run({"verify", "--job", "0", "--challenge"}), kUsage) << "it needs --key";
    EXPECT_EQ(run({"verify", "--job", "0", "--dispute"}), kUsage) << "likewise";
    EXPECT_EQ(run({"verify", "--job", "0", "--dispute", "--challenge", "--key", "dev:0"}), kUsage);
    EXPECT_EQ(run({"verify", "--job", "0", "--bond-max", "3"}), kUsage) << "it needs --yes";
    EXPECT_EQ(
        run({"verify", "--job", "0", "--dispute", "--key", "dev:0", "--yes", "--bond-max", "x"}),
        kUsage);
    EXPECT_EQ(run({"verify", "--job", "0", "--segments", "5-2"}), kUsage);
    EXPECT_EQ(run({"verify", "--job", "0", "--segment", "1", "--segments", "1-2"}), kUsage);
    EXPECT_EQ(run({"job", "list", "--rpc", "http://127.0.0.1:1"}), kFailed);
    EXPECT_EQ(run({"job", "list", "--rpc", "https://example.org"}), kFailed);
}

TEST(app, a_job_has_an_hour_at_least_and_no_more_than_the_market_gives_it) {
    const auto submit = [](const std::string& hours) {
        return run({"job", "submit", "--key", "dev:0", "--data", "/nonexistent", "--deadline-hours",
                    hours});
    };
    for (const auto* hours : {"0", "8784", "5124095576030432"})
        EXPECT_EQ(submit(hours), kUsage) << hours;
    for (const auto* hours : {"1", "8783"}) EXPECT_EQ(submit(hours), kFailed) << hours;
}

TEST(app, numbers_are_taken_as_written_or_refused) {
    for (const auto* text : {"-1", "1.5", "", " 1", "1e3", "18446744073709551616", "0x", "1k"})
        EXPECT_EQ(run({"job", "status", text, "--rpc", "http://127.0.0.1:1"}), kUsage) << text;
    for (const auto* text : {"0", "010", "0x10", "18446744073709551615"})
        EXPECT_EQ(run({"job", "status", text, "--rpc", "http://127.0.0.1:1"}), kFailed) << text;
    for (const auto* text : {"-1", "0", "2x", "1e9", "G", "nan", "inf", "-1G", "9999999999T"})
        EXPECT_EQ(run({"train", "--data", "/nonexistent", "--memory", text}), kUsage) << text;
    for (const auto* text : {"1.5G", "2GiB", "512m", "100000000", ".5 gb"})
        EXPECT_EQ(run({"train", "--data", "/nonexistent", "--memory", text}), kFailed) << text;
    EXPECT_EQ(run({"devnet", "up", "--http-port", "65536"}), kUsage);
}

/// What a command that ends with `due` says on stderr.
std::string said(const std::vector<std::string>& words, int due) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(run(words), due);
    return testing::internal::GetCapturedStderr();
}

TEST(app, wrong_word_is_named_with_the_one_that_was_meant) {
    EXPECT_EQ(said({}, kUsage), "error: a command is missing; see `trainyard --help`\n");
    EXPECT_EQ(said({"zzzzzzzz"}, kUsage), "error: no command 'zzzzzzzz'; see `trainyard --help`\n");
    EXPECT_EQ(said({"job", "sumbit"}, kUsage),
              "error: no command 'sumbit' (did you mean 'submit'?); see `trainyard job --help`\n");
    EXPECT_EQ(said({"status", "--rcp", "x"}, kUsage),
              "error: no flag '--rcp' (did you mean '--rpc'?); see `trainyard status --help`\n");
    EXPECT_EQ(said({"status", "more"}, kUsage),
              "error: unexpected 'more'; see `trainyard status --help`\n");
    EXPECT_EQ(said({"train"}, kUsage), "error: --data is required; see `trainyard train --help`\n");
    EXPECT_EQ(said({"job", "cancel", "0"}, kUsage),
              "error: --key is required; see `trainyard job cancel --help`\n");
}

TEST(app, sizes_from_one_on_are_taken_and_others_refused) {
    for (const auto* flag : {"--width", "--steps", "--segment", "--learning-rate"})
        EXPECT_NE(said({"train", "--data", "/nonexistent", flag, "0"}, kUsage).find(flag),
                  std::string::npos);
    for (const auto* rate : {"nan", "inf", "-nan", "-1", "1e999", "1.5", "0.1x", ""})
        EXPECT_NE(said({"train", "--data", "/nonexistent", "--learning-rate", rate}, kUsage)
                      .find("at most 1"),
                  std::string::npos)
            << rate;
    EXPECT_EQ(run({"train", "--data", "/nonexistent", "--learning-rate", "1e-3"}), kFailed);
    EXPECT_EQ(run({"sample", "--model", "/nonexistent", "--temperature", "nan"}), kUsage);
    EXPECT_EQ(run({"sample", "--model", "/nonexistent", "--temperature", "0"}), kFailed);
    EXPECT_EQ(run({"train", "--data", "/nonexistent", "--optimiser", "adam"}), kUsage);
    EXPECT_EQ(run({"train", "--data", "/nonexistent", "--width", "1"}), kFailed);
}

TEST(app, a_node_that_cannot_start_says_so_without_a_log) {
    const auto why = said({"node", "--log.level", "off", "--genesis", "/nonexistent"}, kFailed);
    EXPECT_EQ(why.substr(0, 7), "error: ") << why;
    EXPECT_NE(why.find("/nonexistent"), std::string::npos) << why;
}

TEST(app, an_import_that_cannot_be_read_names_the_systems_reason) {
    const auto folder = std::filesystem::path(testing::TempDir()) / "import";
    std::filesystem::create_directories(folder);
    const auto genesis = folder / "genesis.json";
    std::ofstream(genesis) << R"({"config":{"chainId":1},"difficulty":"0x1",)"
                           << R"("gasLimit":"0x1000000","alloc":{}})";
    const auto import = [&](const std::string& file) {
        return said({"import", file, "--genesis", genesis.string(), "--datadir",
                     (folder / "data").string(), "--no-seal-check"},
                    kFailed);
    };
    EXPECT_NE(import(folder.string()).find("cannot be read (Is a directory)"), std::string::npos);
    EXPECT_NE(import("/nonexistent").find("cannot be read (No such file"), std::string::npos);
    ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
    EXPECT_NE(import((folder / "pipe").string()).find("a device or a pipe"), std::string::npos);
    std::filesystem::remove_all(folder);
}

TEST(app, errors_are_json_where_results_are) {
    for (const auto& [words, due] :
         {std::pair(std::vector<std::string>{"--json", "program", "inspect", "/nonexistent"},
                    kFailed),
          std::pair(std::vector<std::string>{"--json", "job", "sumbit"}, kUsage)}) {
        const auto error = boost::json::parse(said(words, due)).as_object();
        EXPECT_FALSE(error.at("error").as_string().empty());
    }
}

TEST(app, rejects_bad_node_settings_with_code_two) {
    const auto file = temporary("node.toml");
    ASSERT_TRUE(wallet::write_text(file, "[http]\nprot = 1\n"));
    EXPECT_EQ(run({"node", "--config", file, "--print-config"}), kUsage);
    EXPECT_EQ(run({"node", "--http.port", "70000", "--print-config"}), kUsage);
    EXPECT_EQ(run({"node", "--fault", "made-up-sums", "--print-config"}), kUsage);
    EXPECT_EQ(run({"node", "--fault", "accuse", "--print-config"}), kOk);
    EXPECT_EQ(run({"node", "--log.json", "--print-config"}), kOk);
    EXPECT_EQ(run({"node", "--genesis", "/nonexistent"}), kFailed);
    std::filesystem::remove(file);
}

TEST(completion, knows_every_shell_it_claims) {
    const std::vector<CommandWords> words{{"", {"job", "--json"}, ""}, {"job", {"submit"}, ""}};
    for (const auto* shell : {"bash", "zsh", "fish"}) {
        const auto text = completion_script(shell, words);
        EXPECT_NE(text.find("submit"), std::string::npos) << shell;
    }
    EXPECT_EQ(completion_script("csh", words), "");
}

/// What a shell prints that runs this text; nullopt where the shell is not installed.
std::optional<std::string> printed_by(const std::string& shell, const std::string& text) {
    const auto path = temporary("script");
    if (!wallet::write_text(path, text)) return std::nullopt;
    std::FILE* pipe =
        ::popen(("command -v " + shell + " >/dev/null && " + shell + " " + path).c_str(), "r");
    std::string out;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) out += static_cast<char>(c);
    const int status = ::pclose(pipe);
    std::filesystem::remove(path);
    return status == 0 ? std::optional(out) : std::nullopt;
}

TEST(completion, shells_offer_the_words_of_the_command_before_the_one_that_is_typed) {
    const std::vector<CommandWords> words{{"", {"job", "list"}, ""},
                                          {"job", {"new", "--json"}, ""},
                                          {"job new", {"submit"}, ""},
                                          {"list", {"peers"}, ""}};
    const auto script = [&](const char* shell) { return completion_script(shell, words); };
    EXPECT_EQ(printed_by("bash", script("bash") + "COMP_WORDS=(trainyard --quiet job new s)\n"
                                                  "COMP_CWORD=4\n_trainyard\necho ${COMPREPLY[@]}"),
              "submit\n");
    for (const auto& [now, offered] :
         {std::pair("''", "new\n"), {"--", "--json\n"}, {"n", "new\n"}})
        EXPECT_EQ(printed_by("bash", script("bash") + "COMP_WORDS=(trainyard job " + now +
                                         ")\nCOMP_CWORD=2\n_trainyard\necho ${COMPREPLY[@]}"),
                  offered)
            << now;
    const std::string zsh = "compdef() { : }\n_files() { : }\ncompadd() { shift; echo $@ }\n" +
                            script("zsh") + "words=(trainyard --quiet job new list)\nCURRENT=5\n";
    EXPECT_EQ(printed_by("zsh", zsh + "_trainyard").value_or("submit\n"), "submit\n");
    const auto fish =
        script("fish") + "complete -C 'trainyard --quiet job new s' | string match -r '^sub.*'";
    EXPECT_EQ(printed_by("fish", fish).value_or("submit\n"), "submit\n");
}

TEST(manual, lists_commands_with_their_help_and_lets_no_text_be_a_request) {
    const auto page =
        manual_page("0.1", {{"", {"job"}, "all"}, {"job x-y", {}, ".so /etc/passwd\n\\f"}});
    EXPECT_NE(page.find(".TP\n.B job x\\-y\n\\&.so /etc/passwd \\ef\n"), std::string::npos) << page;
    EXPECT_EQ(page.find("\nall\n"), std::string::npos);  // the program itself is no command
    EXPECT_TRUE(page.starts_with(".TH TRAINYARD 1 \"\" \"trainyard 0.1\"\n"));
}

TEST(plots, of_losses_lie_between_their_extremes_and_leave_out_what_is_not_finite) {
    EXPECT_EQ(sparkline({}), "");
    EXPECT_EQ(sparkline({3}), "▁");
    EXPECT_EQ(sparkline({8, 1, 2, 4.4F}), "█▁▂▄");
    EXPECT_EQ(sparkline({NAN, 2, INFINITY, 1}), " █ ▁");
    EXPECT_EQ(sparkline({9, 2, 1}, 2), "█▁") << "the last";
    EXPECT_EQ(bar_text(0, 0), bar_text(0, 10));
    EXPECT_EQ(bar_text(5, 10), "████████████░░░░░░░░░░░░");
    EXPECT_EQ(bar_text(20, 10), bar_text(10, 10));
}

GenesisInputs genesis_inputs() {
    GenesisInputs in;
    in.spec = embedded_devnet_spec();
    in.artifact = embedded_artifact;
    in.operator_balance_wei = *parse_coins("100");
    in.timestamp = 1'700'000'000;
    for (uint8_t n = 1; n <= 4; ++n) {
        const auto key = [n](uint8_t kind) {
            SecretKey secret;
            secret.bytes.fill(n);
            secret.bytes[0] = kind;
            return *public_key(secret);
        };
        in.validators.push_back(
            {address_of(key(1)), key(2), key(3), key(4), *parse_coins("1000"), "127.0.0.1:1"});
    }
    return in;
}

TEST(genesis_build, the_devnets_constructors_run_and_the_file_reads_back) {
    const auto genesis = build_genesis(genesis_inputs());
    ASSERT_TRUE(genesis) << genesis.error().text();
    const auto& market = genesis->alloc.at(wallet::kMarket);
    EXPECT_GT(market.code.size(), 1000u);
    EXPECT_FALSE(market.storage.empty());
    EXPECT_EQ(genesis->alloc.at(wallet::kStaking).balance, *parse_coins("4000"));
    const auto again = config::parse_genesis(config::write_genesis(*genesis));
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(*again, *genesis);
    EXPECT_EQ(*config::check_genesis(*again), genesis->block_hash);
}

TEST(genesis_build, validators_that_nobody_could_reach_are_named) {
    auto genesis = *build_genesis(genesis_inputs());
    EXPECT_EQ(validator_peers(genesis)->size(), 4U);
    genesis.validators[1].endpoint = "";
    EXPECT_EQ(validator_peers(genesis)->size(), 3U);
    for (const char* bad : {"127.0.0.1:0", "127.0.0.1", "[::1]:0", ":1"}) {
        genesis.validators[2].endpoint = bad;
        const auto peers = validator_peers(genesis);
        ASSERT_FALSE(peers) << bad;
        EXPECT_NE(peers.error().find(std::string("'") + bad + "'"), std::string::npos);
    }
}

TEST(genesis_build, is_the_same_for_the_same_inputs_and_differs_by_seed) {
    auto inputs = genesis_inputs();
    const auto a = build_genesis(inputs)->block_hash, b = build_genesis(inputs)->block_hash;
    inputs.seed.bytes.fill(1);
    EXPECT_EQ(a, b);
    EXPECT_NE(a, build_genesis(inputs)->block_hash);
}

TEST(genesis_build, rejects_unknown_keys_artifacts_and_arguments) {
    const auto fault_of = [](std::string_view from, std::string_view to) {
        auto inputs = genesis_inputs();
        const auto at = inputs.spec.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        inputs.spec.replace(at, from.size(), to);
        const auto built = build_genesis(inputs);
        return built ? std::string("built") : built.error().text();
    };
    EXPECT_NE(fault_of("\"epochLength\"", "\"epochLenght\"").find("epochLength"),
              std::string::npos);
    EXPECT_NE(fault_of("\"artifact\": \"Beacon\"", "\"artifact\": \"Beakon\"").find("Beakon"),
              std::string::npos);
    EXPECT_NE(fault_of("\"type\": \"uint8\", \"value\": \"3\"",
                       "\"type\": \"uint8\", \"value\": \"300\""),
              "built");
    EXPECT_NE(fault_of("@ComputeMarket", "@ComputeMarkt"), "built");
    EXPECT_NE(fault_of("\"osaka\"", "\"paris\""), "built");
}

TEST(genesis_build, numbers_of_the_spec_and_of_its_groups_can_be_set) {
    auto inputs = genesis_inputs();
    const auto plain = build_genesis(inputs);
    const auto spec =
        with_settings(inputs.spec, {"blockIntervalMs=500", "epochLength=128", "unbondBlocks=512",
                                    "workPerBlock=1000000000000"});
    ASSERT_TRUE(spec) << spec.error().text();
    inputs.spec = *spec;
    const auto built = build_genesis(inputs);
    ASSERT_TRUE(built) << built.error().text();
    EXPECT_EQ(built->block_interval_ms, 500u);
    EXPECT_EQ(built->epoch_length, 128u) << "Staking has the same, or the genesis were refused";
    EXPECT_NE(built->alloc.at(wallet::kMarket).storage, plain->alloc.at(wallet::kMarket).storage);
    EXPECT_EQ(*with_settings(inputs.spec, {}), inputs.spec);
}

TEST(genesis_build, numbers_of_the_contracts_can_be_set_by_a_name_that_is_theirs_alone) {
    const auto built_with = [](const std::vector<std::string>& settings) {
        auto inputs = genesis_inputs();
        const auto spec = with_settings(inputs.spec, settings);
        if (!spec) return config::Genesis{};
        inputs.spec = *spec;
        auto built = build_genesis(inputs);
        EXPECT_TRUE(built) << built.error().text();
        return built ? std::move(*built) : config::Genesis{};
    };
    const auto plain = built_with({});
    for (const auto* setting : {"unstakeBlocks=9", "minStake=7", "ProviderRegistry.minStake=7"})
        EXPECT_NE(built_with({setting}).alloc[wallet::kProviders].code,
                  plain.alloc.at(wallet::kProviders).code)
            << setting;
    EXPECT_EQ(built_with({"minStake=7"}), built_with({"ProviderRegistry.minStake=7"}));
    EXPECT_EQ(built_with({"gasLimit=30000000"}).gas_limit, 30'000'000U);
    EXPECT_EQ(built_with({"miniEpochLength=16", "Beacon.epochLength=16"}).mini_epoch_length, 16U);
    EXPECT_EQ(built_with({"cutoff=3", "Beacon.cutoff=3"}).cutoff, 3U);
}

TEST(genesis_build, a_name_that_several_contracts_have_is_refused_with_the_choices) {
    auto spec = genesis_inputs().spec;
    const std::string from = R"({"name": "cutoff", "type")";
    spec.replace(spec.find(from), from.size(), R"({"name": "minStake", "type")");
    const auto refused = with_settings(spec, {"minStake=7"});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().text(),
              "spec.minStake: several contracts have an argument of that name (say which: "
              "Beacon.minStake or ProviderRegistry.minStake)");
    EXPECT_TRUE(with_settings(spec, {"Beacon.minStake=2", "ProviderRegistry.minStake=7"}));
}

TEST(genesis_build, settings_that_the_spec_does_not_have_are_refused_by_name) {
    const auto fault_of = [](const std::string& setting) {
        const auto spec = with_settings(embedded_devnet_spec(), {setting});
        return spec ? std::string("taken") : spec.error().text();
    };
    EXPECT_NE(fault_of("workPerBlok=1").find("workPerBlock"), std::string::npos);
    EXPECT_NE(fault_of("Beacon.cutof=1").find("Beacon.cutoff"), std::string::npos);
    EXPECT_NE(fault_of("unstakeBlok=1").find("unstakeBlocks"), std::string::npos);
    EXPECT_NE(fault_of("name=5").find("no such number"), std::string::npos);
    EXPECT_NE(fault_of("beacon=5").find("no such number"), std::string::npos) << "an address";
    for (const char* bad : {"k0", "k0=", "k0=x", "k0=-1", "=5", ""})
        EXPECT_NE(fault_of(bad), "taken") << bad;
    auto inputs = genesis_inputs();
    inputs.spec = *with_settings(inputs.spec, {"k0=300"});
    EXPECT_FALSE(build_genesis(inputs)) << "does not fit its type";
    inputs.spec = *with_settings(embedded_devnet_spec(), {"epochLength=128"});
    EXPECT_EQ(build_genesis(inputs).error().text(),
              "spec.contracts.Staking: its constructor fails: a wrong value (BadValue) epoch "
              "(check the arguments, or what was set by --set)");
}

TEST(genesis_build, rejects_contracts_that_count_epochs_otherwise_than_the_chain) {
    const std::tuple<const char*, const char*, const char*> changes[] = {
        {"\"miniEpochLength\": 8", "\"miniEpochLength\": 16", "Beacon: epochLength() is 8"},
        {"\"cutoff\": 2", "\"cutoff\": 3", "Beacon: cutoff() is 2, but cutoff is 3"},
        {"\"epochLength\": 64", "\"epochLength\": 128", "Staking: epochLength() is 64"}};
    for (const auto& [from, to, words] : changes) {
        auto inputs = genesis_inputs();
        const auto at = inputs.spec.find(from);
        ASSERT_NE(at, std::string::npos) << from;
        inputs.spec.replace(at, std::string_view(from).size(), to);
        const auto built = build_genesis(inputs);
        ASSERT_FALSE(built) << to;
        EXPECT_EQ(built.error().code, config::ConfigErrorCode::mismatch);
        EXPECT_NE(built.error().text().find(words), std::string::npos) << built.error().text();
        EXPECT_NE(built.error().text().find("--set "), std::string::npos) << built.error().text();
    }
    auto genesis = *build_genesis(genesis_inputs());
    EXPECT_TRUE(config::check_system_contracts(genesis));
    genesis.alloc.erase(wallet::kStaking);
    EXPECT_EQ(config::check_system_contracts(genesis).error().code,
              config::ConfigErrorCode::missing);
}

TEST(model_folder, weights_lead_to_the_state_root_and_changed_ones_do_not) {
    TemplateArgs args;
    args.layers = 1, args.width = 32, args.heads = 2, args.sequence = 16, args.steps = 4;
    args.segment = 4, args.micro_batches = 1, args.sequences = 1;
    const Bytes data(4000, 'x');
    const auto program = make_program(args, data);
    ASSERT_TRUE(program) << program.error();
    const auto state = training::make_initial_state(*program, Hash{});
    const auto folder = temporary("model");
    ASSERT_TRUE(write_model_folder(folder, *program, state, {}, {}));
    auto model = read_model_folder(folder);
    ASSERT_TRUE(model) << model.error();
    const auto proof = read_model_proof(folder);
    ASSERT_TRUE(proof) << proof.error();
    EXPECT_EQ(recomputed_root(*model, *proof),
              training::state_root(state, training::program_id(*program)));
    model->w[0].data[0] += 1.0F;
    EXPECT_NE(recomputed_root(*model, *proof), proof->state_root);
    std::filesystem::remove_all(folder);
}

TEST(model_folder, rejects_a_folder_without_or_with_a_damaged_proof) {
    const auto folder = temporary("damaged");
    EXPECT_NE(read_model_folder(folder).error().find("' is no folder"), std::string::npos);
    ASSERT_TRUE(wallet::make_folder(folder));
    EXPECT_NE(read_model_folder(folder).error().find("' holds no model"), std::string::npos);
    for (const auto* text : {"", "{}", R"({"programId":"0x12"})"}) {
        ASSERT_TRUE(wallet::write_text(folder + "/trainyard.json", text));
        EXPECT_FALSE(read_model_proof(folder)) << text;
    }
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace trainyard::node::cli
