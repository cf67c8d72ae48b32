// SPDX-License-Identifier: Apache-2.0
// The commands and their arguments, free of the command-line library.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cuda/cuda_backend.hpp"
#include "node/cli/keys.hpp"
#include "node/cli/output.hpp"
#include "node/wallet/fees.hpp"

namespace trainyard::node::cli {

inline constexpr const char* kUsualRpc = "http://127.0.0.1:8545";
/// " --rpc URL" where that is not the usual one: for commands that are suggested.
[[nodiscard]] inline std::string rpc_flag(const std::string& rpc) {
    return rpc == kUsualRpc ? "" : " --rpc " + rpc;
}

struct AccountArgs {
    std::string folder;  ///< of keystores; empty: under the home folder
    std::string file;    ///< import: a file with the key in hex; show: a keystore
    std::string password_file;
    bool light = false;
};
int run_account_new(const Output& out, const AccountArgs& args);
/// The four keys of a validator, in `folder`.
int run_account_validator(const Output& out, const AccountArgs& args);
int run_account_list(const Output& out, const AccountArgs& args);
int run_account_import(const Output& out, const AccountArgs& args);
int run_account_show(const Output& out, const AccountArgs& args);

struct SendArgs {
    std::string rpc = kUsualRpc;
    KeyChoice key;
    std::string to, amount;
};
int run_account_send(const Output& out, const SendArgs& args);

struct BalanceArgs {
    std::string rpc = kUsualRpc;
    std::string address;  ///< empty: that of the key
    KeyChoice key;
};
/// Coins, and what lies elsewhere and has to be fetched, with the commands that do.
int run_account_balance(const Output& out, const BalanceArgs& args);

/// A template and its dimensions; zero takes the default of training/program.hpp or templates.hpp.
struct TemplateArgs {
    std::string name = "gpt";  ///< gpt, mlp, cnn or diffusion
    uint32_t layers = 0, width = 0, heads = 0, sequence = 0;
    uint32_t hidden = 0;                ///< mlp
    uint32_t blocks = 0, channels = 0;  ///< cnn; channels also diffusion
    uint32_t timesteps = 0;             ///< diffusion
    std::string tokenizer;              ///< file of `data prepare --merges`
    uint32_t steps = 0, micro_batches = 0, sequences = 0, segment = 0;
    double learning_rate = 0;
    std::string optimiser = "adamw";
    std::string recipe = "rmp-1";
    friend bool operator==(const TemplateArgs&, const TemplateArgs&) = default;
};

struct DataArgs {
    std::string path, out, kind = "text", field = "text", labels;
    uint32_t merges = 0, vocabulary = 0, classes = 0;
    uint32_t count = 4096, seed = 1;  ///< of the built-in example
};
int run_data_prepare(const Output& out, const DataArgs& args);
int run_data_inspect(const Output& out, const DataArgs& args);
int run_data_shapes(const Output& out, const DataArgs& args);

struct BlobsArgs {
    std::string rpc = kUsualRpc;
    bool all = false;
    std::vector<std::string> ids;
};
int run_data_blobs(const Output& out, const BlobsArgs& args);
int run_data_release(const Output& out, const BlobsArgs& args);

struct ProgramArgs {
    std::string data;  ///< path of the data set
    std::string program;
    std::string out;
    std::string model, data_out;  ///< finetune: folder to start from, data set with its weights
    uint32_t rank = 8;
    double alpha = 16;
    TemplateArgs gpt;
};
/// A program that goes on from a model folder, and the data set that carries the model's weights.
int run_program_finetune(const Output& out, const ProgramArgs& args);
int run_program_new(const Output& out, const ProgramArgs& args);
int run_program_inspect(const Output& out, const ProgramArgs& args);

struct TrainArgs {
    std::string program;  ///< empty: the template with `gpt`
    std::string data;
    std::string out;
    std::string seed;  ///< 32 bytes in hex; empty: zeros
    uint32_t threads = 1;
    bool no_cuda = false;
    std::string cpu_path = "best";
    bool dry_run = false;
    uint64_t memory_bytes = 0;        ///< that the run may take; 0: no limit
    uint32_t checkpoint_every = 100;  ///< steps; 0: never
    TemplateArgs gpt;
};
int run_train(const Output& out, const TrainArgs& args);

struct EvalArgs {
    std::string model, data;
    uint32_t threads = 1;
    bool no_cuda = false;
};
int run_eval(const Output& out, const EvalArgs& args);

struct SampleArgs {
    std::string model;
    std::string out;                 ///< empty: samples.png, text to stdout
    uint32_t steps = 50, scale = 4;  ///< of image models
    std::string prompt = "The ";
    uint32_t count = 300;
    double temperature = 0.8;
    uint32_t seed = 0;
    uint32_t threads = 1;
};
int run_sample(const Output& out, const SampleArgs& args);

struct JobArgs {
    std::string rpc = kUsualRpc;
    KeyChoice key;
    uint64_t id = 0;
    std::string program, data, out = "model";
    TemplateArgs gpt;
    std::string price = "1", audit_fee = "0.01";  ///< as parse_coins reads them
    std::string provider;                         ///< an address; empty: any
    std::string licence = "Apache-2.0";
    std::string seed;  ///< 32 bytes in hexadecimal; empty: random
    uint64_t segment_blocks = 480;
    /// The market's year of 366 days but an hour: its clock may be behind this machine's.
    static constexpr uint64_t kDeadlineHoursMax = 8783;
    uint64_t deadline_hours = 24;
    bool wait = false;
    bool yes = false;      ///< do not ask before paying
    bool dry_run = false;  ///< say what it costs, and end
};
int run_job_submit(const Output& out, const JobArgs& args);
int run_job_status(const Output& out, const JobArgs& args);
int run_job_list(const Output& out, const JobArgs& args);
int run_job_cancel(const Output& out, const JobArgs& args);
/// Takes what the market owes this account: pay, fees, refunds.
int run_job_withdraw(const Output& out, const JobArgs& args);
/// Asks a job for what it holds of this account and nobody decides any more: bonds of challenges,
/// disputes and appeals whose segment fell, and the stake of a provider whose part is over.
int run_job_reclaim(const Output& out, const JobArgs& args);
int run_job_download(const Output& out, const JobArgs& args);

struct ModelArgs {
    std::string rpc = kUsualRpc;
    KeyChoice key;
    uint64_t token = 0;
    std::string title;
    std::vector<uint64_t> parents;
    std::string royalty;  ///< per cent
};
int run_model_list(const Output& out, const ModelArgs& args);
/// One model with its lineage; fails where its segments are not those on the chain.
int run_model_show(const Output& out, const ModelArgs& args);
/// Title, parents and royalty, said by the account that paid.
int run_model_describe(const Output& out, const ModelArgs& args);

struct LightArgs {
    std::string rpc = kUsualRpc;
    std::string genesis, store, checkpoint;
    std::vector<std::string> accounts;
    bool follow = false;
};
/// Follows the chain by certificates and proofs alone; the node behind `rpc` need not be trusted.
int run_light(const Output& out, const LightArgs& args);

struct VerifyArgs {
    std::string rpc = kUsualRpc;
    std::optional<uint64_t> job;
    std::optional<uint32_t> segment;
    std::string segments;        ///< "2-5"; without it and `segment` all that are not final
    bool final_too = false;      ///< without a segment: those that are paid, too
    bool follow = false;         ///< until the job is closed
    bool challenge = false;      ///< what this machine finds wrong, with `key`
    bool dispute = false;        ///< the same, before the referee
    bool yes = false;            ///< do not ask before
    std::string bond_max = "0";  ///< coins that `yes` stakes after others have lost, too
    KeyChoice key;
    std::string model;      ///< a folder instead of a job
    std::string case_file;  ///< a saved case: no network is needed
    std::string save;       ///< where to save the case of one segment
    uint32_t threads = 1;
    bool no_cuda = false;
    bool offline = false;  ///< a model against its own proof only
};
/// Exit code 0: what the chain says is right; 1: it is not, or it could not be checked.
int run_verify(const Output& out, const VerifyArgs& args);

struct ProviderArgs {
    std::string rpc = kUsualRpc;
    KeyChoice key;
    std::string datadir = "trainyard-provider";
    std::string name = "provider";
    std::string stake = "100";
    std::string price = "0";
    std::string fault = "none";
    uint32_t threads = 1;
    uint32_t memory_mb = 8192;
    uint64_t fee_max_gwei = wallet::kFeeMaxGwei;  ///< for one gas
    bool no_cuda = false;
    uint32_t keep_days = 30;  ///< of the models of finished jobs
    bool once = false;        ///< ends after one finished job
    bool take_over = false;   ///< the key, from a provider with another datadir
    cuda::Checksums checksums = cuda::Checksums::where_no_ecc;
};
int run_provider(const Output& out, const ProviderArgs& args);

struct ValidatorArgs {
    std::string rpc = kUsualRpc;
    KeyChoice key;
    std::string keys;  ///< register: folder of `account validator`
    std::string operator_address;
    std::string amount;            ///< coins, or "all"
    std::string commission = "5";  ///< percent
};
int run_validator_register(const Output& out, const ValidatorArgs& args);
/// To oneself: more self stake.
int run_validator_delegate(const Output& out, const ValidatorArgs& args);
int run_validator_undelegate(const Output& out, const ValidatorArgs& args);
/// Pays released exits and all rewards.
int run_validator_withdraw(const Output& out, const ValidatorArgs& args);
int run_validator_commission(const Output& out, const ValidatorArgs& args);
int run_validator_unjail(const Output& out, const ValidatorArgs& args);
int run_validator_status(const Output& out, const ValidatorArgs& args);
int run_validator_list(const Output& out, const ValidatorArgs& args);

struct ProviderCheckArgs {
    std::string rpc;  ///< empty: no node is asked
    std::string datadir = ".";
    uint32_t threads = 1;
    uint32_t memory_mb = 8192;
    bool no_cuda = false;
};
/// Exit code 0: this machine can train for pay; 1: a line of the report fails.
int run_provider_check(const Output& out, const ProviderCheckArgs& args);

struct EarningsArgs {
    std::string rpc = kUsualRpc;
    std::string provider;  ///< address; empty: that of the key
    KeyChoice key;
    uint32_t days = 30;
    bool csv = false;
};
int run_provider_earnings(const Output& out, const EarningsArgs& args);

struct StakeArgs {
    std::string rpc = kUsualRpc;
    KeyChoice key;
    std::string amount;  ///< coins, or "all"
    bool yes = false;    ///< do not ask where what leaves already begins to wait anew
};
/// Stake that no job holds leaves; after the registry's delay `provider withdraw` pays it.
int run_provider_unstake(const Output& out, const StakeArgs& args);
/// Takes what has left, and all credit.
int run_provider_withdraw(const Output& out, const StakeArgs& args);

struct VerifierArgs {
    int fd = -1;  ///< none: test the back ends and end
    uint32_t threads = 1;
    uint32_t memory_mb = 0;  ///< of this process; 0: no limit
    std::string sandbox = "auto";
    std::vector<std::string> hidden;  ///< paths that are out of reach in the sandbox
    bool no_cuda = false;
};
int run_verifier(const Output& out, const VerifierArgs& args);

struct GenesisArgs {
    std::string spec;                     ///< empty: the devnet's inside the program
    std::string artifacts;                ///< folder; empty: those inside the program
    std::vector<std::string> settings;    ///< "name=value", numbers of the spec
    std::vector<std::string> validators;  ///< "<folder of keystores>@host:port"
    std::string stake = "1000";
    std::string out = "genesis.json";
    std::string file;        ///< check
    uint64_t timestamp = 0;  ///< zero: now
    std::string seed;        ///< empty: random
    // wallet
    std::string rpc = kUsualRpc;
    std::string name;  ///< of the chain; empty: with its number
    std::string symbol = "COIN";
    std::vector<std::string> urls;  ///< that wallets shall use; empty: `rpc`
    bool viem = false;              ///< a module for viem
};
int run_genesis_build(const Output& out, const GenesisArgs& args);
int run_genesis_check(const Output& out, const GenesisArgs& args);
/// The chain of a running node as wallets and viem want it.
int run_genesis_wallet(const Output& out, const GenesisArgs& args);

struct SignerArgs {
    std::string genesis;
    std::string keys;  ///< consensus.json, vrf.json, `password`; with TLS also p2p.json
    std::string datadir = "trainyard-signer";
    std::string listen;              ///< unix:PATH or tls:HOST:PORT; empty: signer.sock in datadir
    std::vector<std::string> allow;  ///< with TLS: P2P keys of the nodes that may ask
};
/// Signs for nodes until a signal comes.
int run_signer(const Output& out, const SignerArgs& args);

struct StatusArgs {
    std::string rpc = kUsualRpc;
};
/// Exit codes: health.hpp.
int run_status(const Output& out, const StatusArgs& args);

struct PeersArgs {
    std::string rpc = kUsualRpc;
    std::string peer;  ///< add: <public key>@host:port; else the key will do
    uint64_t seconds = 86400;
    std::string reason = "by the operator";
};
int run_peers_list(const Output& out, const PeersArgs& args);
int run_peers_add(const Output& out, const PeersArgs& args);
int run_peers_remove(const Output& out, const PeersArgs& args);
int run_peers_ban(const Output& out, const PeersArgs& args);
int run_peers_unban(const Output& out, const PeersArgs& args);

struct DebugArgs {
    std::string rpc = kUsualRpc;
    std::string config, datadir, log;  ///< each may be empty: left out
    std::string out = "trainyard-debug.tar.gz";
};
int run_debug_bundle(const Output& out, const DebugArgs& args);

struct ProtectionArgs {
    std::string datadir = "trainyard-data";
    std::string file = "-";  ///< export: "-" is stdout
    std::string pubkey;      ///< import: which key of the file, for a fresh database
    bool retire = false;     ///< export: this folder never signs again
};
int run_protection_export(const Output& out, const ProtectionArgs& args);
int run_protection_import(const Output& out, const ProtectionArgs& args);

struct ImportArgs {
    std::string genesis;  ///< chain spec in geth's format
    std::string file;     ///< concatenated block RLPs
    std::string datadir = "trainyard-import";
    bool no_seal_check = false;
};
/// Executes the blocks of a foreign chain into a store and tells the head.
int run_import(const Output& out, const ImportArgs& args);

struct ServeArgs {
    std::string genesis;
    std::string datadir = "trainyard-import";
    std::string http_addr = "127.0.0.1";
    uint16_t http_port = 8545;  ///< 0: any free one
};
/// JSON-RPC over an imported chain, until a signal comes.
int run_serve(const Output& out, const ServeArgs& args);

struct DevnetArgs {
    std::string folder = "devnet";
    uint32_t validators = 4;
    uint32_t providers = 2;
    uint16_t http_port = 0;  ///< of the first node; 0: free ones
    std::string data;
    std::string out = "demo-out";
    bool keep = false;
    uint32_t seed = 0;
    uint32_t segments = 10, segment_steps = 20;
    uint32_t threads = 1;
    bool no_cuda = false;
    bool skip_cheat = false;
    std::vector<std::string> settings;  ///< "name=value", numbers of the chain spec
};
int run_devnet_init(const Output& out, const DevnetArgs& args);
int run_devnet_up(const Output& out, const DevnetArgs& args);
int run_devnet_demo(const Output& out, const DevnetArgs& args);

}  // namespace trainyard::node::cli
