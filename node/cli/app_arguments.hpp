// SPDX-License-Identifier: Apache-2.0
// What the command line is read into, and the pieces that its description is made of: private to
// the files app*.cpp, the only ones that see CLI11.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "node/cli/commands.hpp"
#include "node/cli/foreign_command.hpp"
#include "node/cli/snapshot_command.hpp"

namespace trainyard::node::cli {

/// What the chosen command runs; set by the callback of the subcommand that was given.
using Run = std::function<int()>;

/// What the command line says about one setting of the node.
struct NodeFlag {
    std::string key;
    std::vector<std::string> values;
};

/// A command's flags from a file.
struct FlagFile {
    std::string path;    ///< empty: none was named
    bool print = false;  ///< print the flags in force instead
};
inline constexpr const char *kFileFlag = "file", *kPrintFileFlag = "print-file";

/// All arguments live here, so that flags can point at them.
struct Arguments {
    Output out;
    AccountArgs account;
    SendArgs send;
    BalanceArgs balance;
    ProgramArgs program;
    TrainArgs train;
    EvalArgs eval;
    DataArgs data;
    BlobsArgs blobs;
    ForeignArgs foreign;
    SampleArgs sample;
    JobArgs job;
    FlagFile job_file;
    ModelArgs model;
    LightArgs light;
    VerifyArgs verify;
    ProviderArgs provider;
    ValidatorArgs validator;
    ProviderCheckArgs provider_check;
    EarningsArgs earnings;
    StakeArgs stake;
    VerifierArgs verifier;
    GenesisArgs genesis;
    ProtectionArgs protection;
    SignerArgs signer;
    StatusArgs status;
    PeersArgs peers;
    DebugArgs debug;
    DevnetArgs devnet;
    ImportArgs import;
    ServeArgs serve;
    SnapshotArgs snapshot;
    std::string shell;
    std::string config_file;
    bool print_config = false;
    bool check_node = false;
    bool no_doppelganger_check = false;
    std::string node_fault = "none";
    std::vector<NodeFlag> node;
    Run run;
};

CLI::App* command(CLI::App& parent, const std::string& name, const std::string& help,
                  const std::string& example, Run run, Arguments& a);
// app_help.cpp
/// Line ends in place of spaces, so that no line of several words has more characters than `width`.
std::string wrapped(std::string_view text, size_t width);
/// Breaks the help of `app` and of commands that are added later to the width of the terminal, or
/// to $COLUMNS; not at all where neither is known.
void wrap_help(CLI::App& app);
// app_numbers.cpp
/// `what` names the range in the error. CLI::Range lets NaN through.
CLI::Validator number_within(const std::string& what, double least, double most);
/// For what `take_whole_numbers` reads.
CLI::Validator whole_within(uint64_t least, uint64_t most);
/// A size with or without a unit, such as 1.5G.
void take_bytes(CLI::Option* option);
/// Every option below `app` that takes unsigned numbers takes them, and nothing else.
void take_whole_numbers(CLI::App& app);
/// Bytes like those of an address; `what` names them in the error.
template <class T>
CLI::Validator hexadecimal(const std::string& what) {
    const auto check = [what](const std::string& text) -> std::string {
        return fixed_from_hex<T>(text) ? "" : "'" + text + "' is no " + what;
    };
    return {check, ""};
}
/// 20 bytes, with or without the checksum of EIP-55; a wrong checksum is refused.
CLI::Validator an_address();
inline constexpr double kLeastPositive = std::numeric_limits<double>::min();
inline constexpr double kMostFinite = std::numeric_limits<double>::max();
/// A command that only has commands below it.
CLI::App* group(CLI::App& parent, const std::string& name, const std::string& help);

// Flags that several commands share.
void add_rpc(CLI::App* sub, std::string& rpc);
CLI::Option* add_key(CLI::App* sub, KeyChoice& key);
/// A number from 1 on; 0 in `size` stands for "not given".
void add_size(CLI::App* sub, const std::string& flag, uint32_t& size, const std::string& help);
void add_gpt_sizes(CLI::App* sub, TemplateArgs& g);
void add_run(CLI::App* sub, TemplateArgs& g);
void add_gpt(CLI::App* sub, TemplateArgs& g);
void add_devices(CLI::App* sub, uint32_t& threads, bool& no_cuda);

// app_file.cpp
/// Adds --file and --print-file; before every other flag of the command.
void add_flag_file(CLI::App* sub, FlagFile& file);
/// A file with what is in force, whose paths are relative to the folder of --file, else to this
/// one.
std::string flag_file_text(CLI::App& sub, const FlagFile& file);

// app_training.cpp
void add_program(CLI::App& app, Arguments& a);
void add_data(CLI::App& app, Arguments& a);
void add_training(CLI::App& app, Arguments& a);
// app_market.cpp
void add_job(CLI::App& app, Arguments& a);
void add_model(CLI::App& app, Arguments& a);
void add_light(CLI::App& app, Arguments& a);
void add_verify(CLI::App& app, Arguments& a);
void add_provider(CLI::App& app, Arguments& a);
// app_operators.cpp
void add_account(CLI::App& app, Arguments& a);
void add_validator(CLI::App& app, Arguments& a);
void add_genesis(CLI::App& app, Arguments& a);
void add_status(CLI::App& app, Arguments& a);
void add_peers(CLI::App& app, Arguments& a);
void add_debug(CLI::App& app, Arguments& a);
void add_signer(CLI::App& app, Arguments& a);
void add_protection(CLI::App& app, Arguments& a);
void add_import(CLI::App& app, Arguments& a);
void add_snapshot(CLI::App& app, Arguments& a);

}  // namespace trainyard::node::cli
