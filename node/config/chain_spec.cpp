// SPDX-License-Identifier: Apache-2.0
// Fork schedules as rows, and the header of block 0 that they give.
#include "node/config/chain_spec.hpp"

#include <limits>

#include "core/hash.hpp"
#include "node/config/json_reading.hpp"
#include "state/trie.hpp"

namespace trainyard::node::config {
namespace {

using consensus::BlobSchedule;
using vm::Revision;

constexpr uint64_t kUnknownYet = std::numeric_limits<uint64_t>::max();

/// A fork that comes at a block, in order. `bomb_delay`: what it does to the ice age, in blocks.
struct BlockFork {
    const char* key;
    std::optional<Revision> revision;
    uint64_t bomb_delay;
    bool optional;  ///< later forks may come without it
};
constexpr BlockFork kBlockForks[] = {
    {"homesteadBlock", Revision::homestead, 0, false},
    {"eip150Block", Revision::tangerine_whistle, 0, false},
    {"eip155Block", std::nullopt, 0, false},
    {"eip158Block", Revision::spurious_dragon, 0, false},
    {"byzantiumBlock", Revision::byzantium, 3'000'000, false},            // EIP-649
    {"constantinopleBlock", Revision::constantinople, 5'000'000, false},  // EIP-1234
    {"petersburgBlock", Revision::petersburg, 5'000'000, true},
    {"istanbulBlock", Revision::istanbul, 5'000'000, false},
    {"muirGlacierBlock", std::nullopt, 9'000'000, true},  // EIP-2384
    {"berlinBlock", Revision::berlin, 9'000'000, false},
    {"londonBlock", Revision::london, 9'700'000, false},    // EIP-3554
    {"arrowGlacierBlock", std::nullopt, 10'700'000, true},  // EIP-4345
    {"grayGlacierBlock", std::nullopt, 11'400'000, true},   // EIP-5133
};

/// A fork that comes at a time, with its name in blobSchedule.
struct TimeFork {
    const char* key;
    const char* name;
    Revision revision;
};
constexpr TimeFork kTimeForks[] = {
    {"shanghaiTime", "shanghai", Revision::shanghai},
    {"cancunTime", "cancun", Revision::cancun},
    {"pragueTime", "prague", Revision::prague},
    {"osakaTime", "osaka", Revision::osaka},
    {"bpo1Time", "bpo1", Revision::osaka},
    {"bpo2Time", "bpo2", Revision::osaka},
    {"bpo3Time", "bpo3", Revision::osaka},
    {"bpo4Time", "bpo4", Revision::osaka},
    {"bpo5Time", "bpo5", Revision::osaka},
};

/// Blocks that change no rule here, but count for the fork id.
constexpr const char* kIdleForks[] = {"mergeNetsplitBlock", "mergeForkBlock", "daoForkBlock"};

/// Keys that say nothing which execution needs.
constexpr std::string_view kIdleKeys[] = {
    "chainId",
    "terminalTotalDifficulty",
    "terminalTotalDifficultyPassed",
    "blobSchedule",
    "depositContractAddress",
    "enableVerkleAtGenesis",
    "ethash",
    "eip150Hash",
};

const json::value* given(const json::object& o, const char* key) {
    const auto* value = o.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
}

uint64_t number_or(Reading& in, const json::object& o, const char* key, const std::string& where,
                   uint64_t otherwise) {
    return given(o, key) == nullptr ? otherwise : in.number(o, key, where);
}

/// A key that is neither idle nor a row: unless it is empty, false or null, something is unknown.
void refuse_unknown_forks(Reading& in, const json::object& config) {
    for (const auto& [key, value] : config) {
        const std::string name(key);
        bool known = value.is_null() || (value.is_bool() && !value.get_bool());
        for (const auto idle : kIdleKeys) known = known || name == idle;
        for (const auto* idle : kIdleForks) known = known || name == idle;
        for (const auto& fork : kBlockForks) known = known || name == fork.key;
        for (const auto& fork : kTimeForks) known = known || name == fork.key;
        if (!known)
            in.fail(ConfigErrorCode::unknown_key, "config." + name,
                    "is a rule that this program does not know");
    }
}

void read_block_forks(Reading& in, const json::object& config, consensus::ChainConfig& out) {
    const char* missing = nullptr;
    uint64_t last = 0;
    for (const auto& fork : kBlockForks) {
        const std::string where = std::string("config.") + fork.key;
        if (given(config, fork.key) == nullptr) {
            if (!fork.optional && missing == nullptr) missing = fork.key;
            // Without a number of its own Petersburg comes together with Constantinople.
            if (fork.revision == Revision::petersburg && missing == nullptr)
                out.forks.push_back({Revision::petersburg, last, 0, {}});
            continue;
        }
        const uint64_t number = in.number(config, fork.key, "config.");
        if (missing != nullptr)
            in.fail(ConfigErrorCode::missing, std::string("config.") + missing,
                    std::string("is needed because ") + fork.key + " is given");
        if (number < last)
            in.fail(ConfigErrorCode::mismatch, where, "comes before the fork that precedes it");
        last = number;
        if (fork.revision) out.forks.push_back({*fork.revision, number, 0, {}});
        if (fork.bomb_delay != 0) out.bomb_delays.push_back({number, fork.bomb_delay});
    }
    if (number_or(in, config, "eip155Block", "config.", 0) !=
        number_or(in, config, "eip158Block", "config.", 0))
        in.fail(ConfigErrorCode::mismatch, "config.eip155Block", "must be the same as eip158Block");
}

BlobSchedule read_blobs(Reading& in, const json::object& config, const TimeFork& fork,
                        const BlobSchedule& before) {
    const std::string where = std::string("config.blobSchedule.") + fork.name;
    const auto* all = given(config, "blobSchedule");
    const auto* schedules = all == nullptr ? nullptr : in.object(all, "config.blobSchedule");
    const auto* own = schedules == nullptr ? nullptr : given(*schedules, fork.name);
    if (own == nullptr) {
        if (std::string_view(fork.name).starts_with("bpo"))
            in.fail(ConfigErrorCode::missing, where, "is what this fork consists of");
        const auto usual = consensus::ethereum_blobs(fork.revision);
        return fork.revision == Revision::osaka ? before : usual;
    }
    const auto* o = in.object(own, where);
    if (o == nullptr) return {};
    const BlobSchedule blobs{in.number(*o, "target", where + "."),
                             in.number(*o, "max", where + "."),
                             in.number(*o, "baseFeeUpdateFraction", where + ".")};
    constexpr uint64_t kBlobsMax = 1u << 20;  // far from where gas sums would leave 64 bits
    if (blobs.update_fraction == 0 || blobs.target > blobs.max || blobs.max > kBlobsMax)
        in.fail(ConfigErrorCode::bad_value, where, "target <= max and a fraction are needed");
    return blobs;
}

/// Paris and the forks at a time, which cannot come before it.
void read_later_forks(Reading& in, const json::object& config, consensus::ChainConfig& out) {
    const auto* difficulty = given(config, "terminalTotalDifficulty");
    if (difficulty != nullptr)
        out.terminal_total_difficulty = in.amount(difficulty, "config.terminalTotalDifficulty");
    const bool merged = difficulty != nullptr && out.terminal_total_difficulty->is_zero();
    const uint64_t number = merged ? 0 : kUnknownYet;
    if (difficulty != nullptr) out.forks.push_back({Revision::paris, number, 0, {}});
    uint64_t last = 0;
    BlobSchedule blobs;
    const char* missing = difficulty == nullptr ? "terminalTotalDifficulty" : nullptr;
    for (const auto& fork : kTimeForks) {
        const bool is_schedule = std::string_view(fork.name).starts_with("bpo");
        if (given(config, fork.key) == nullptr) {
            if (!is_schedule && missing == nullptr) missing = fork.key;
            continue;
        }
        const uint64_t time = in.number(config, fork.key, "config.");
        if (missing != nullptr)
            in.fail(ConfigErrorCode::missing, std::string("config.") + missing,
                    std::string("is needed because ") + fork.key + " is given");
        if (time < last)
            in.fail(ConfigErrorCode::mismatch, std::string("config.") + fork.key,
                    "comes before the fork that precedes it");
        last = time;
        if (fork.revision != Revision::shanghai) blobs = read_blobs(in, config, fork, blobs);
        out.forks.push_back({fork.revision, number, time, blobs});
    }
}

void read_config(Reading& in, const json::object& root, consensus::ChainConfig& out) {
    const auto* config = in.object(root.if_contains("config"), "config");
    if (config == nullptr) return;
    refuse_unknown_forks(in, *config);
    out = consensus::ethereum_config(in.number(*config, "chainId", "config."),
                                     {{Revision::frontier, 0, 0, {}}});
    read_block_forks(in, *config, out);
    read_later_forks(in, *config, out);
    for (const auto* key : kIdleForks)
        if (given(*config, key) != nullptr)
            out.idle_fork_blocks.push_back(in.number(*config, key, "config."));
    if (given(*config, "depositContractAddress") != nullptr)
        out.deposit_contract = in.fixed_of<Address>(*config, "depositContractAddress", "config.");
}

void read_account(Reading& in, const json::object& o, const std::string& where,
                  const Address& address, state::StateDiff& out) {
    state::AccountChange change;
    if (given(o, "balance") != nullptr)
        change.balance = in.amount(o.if_contains("balance"), where + "balance");
    change.nonce = number_or(in, o, "nonce", where, 0);
    if (given(o, "code") != nullptr) {
        Bytes code = in.data(in.text(o, "code", where), where + "code");
        if (!code.empty()) {
            change.code_hash = keccak256(code);
            out.codes[change.code_hash] = std::move(code);
        }
    }
    const auto* slots = given(o, "storage");
    const auto* storage = slots == nullptr ? nullptr : in.object(slots, where + "storage");
    if (storage != nullptr)
        for (const auto& [slot, word] : *storage) {
            const std::string at = where + "storage." + std::string(slot);
            const bool prefixed = std::string_view(slot).starts_with("0x");
            const json::value key(prefixed ? std::string(slot) : "0x" + std::string(slot));
            const auto value = in.amount(&word, at);
            if (!value.is_zero()) change.storage[in.amount(&key, at)] = value;
        }
    if (!out.accounts.emplace(address, std::move(change)).second)
        in.fail(ConfigErrorCode::bad_value, where, "appears twice");
}

void read_alloc(Reading& in, const json::object& root, state::StateDiff& out) {
    const auto* alloc = in.object(root.if_contains("alloc"), "alloc");
    if (alloc == nullptr) return;
    for (const auto& [key, value] : *alloc) {
        const std::string where = "alloc." + std::string(key);
        const auto address = in.fixed<Address>(std::string_view(key), where);
        if (const auto* account = in.object(&value, where))
            read_account(in, *account, where + ".", address, out);
    }
}

void read_header(Reading& in, const json::object& root, Header& h) {
    h.timestamp = number_or(in, root, "timestamp", "", 0);
    h.gas_limit = in.number(root, "gasLimit", "");
    h.number = number_or(in, root, "number", "", 0);
    h.gas_used = number_or(in, root, "gasUsed", "", 0);
    if (given(root, "difficulty") != nullptr)
        h.difficulty = in.amount(root.if_contains("difficulty"), "difficulty");
    if (given(root, "extraData") != nullptr)
        h.extra_data = in.data(in.text(root, "extraData", ""), "extraData");
    if (given(root, "mixHash") != nullptr) h.prev_randao = in.fixed_of<Hash>(root, "mixHash", "");
    if (given(root, "parentHash") != nullptr)
        h.parent_hash = in.fixed_of<Hash>(root, "parentHash", "");
    if (given(root, "coinbase") != nullptr)
        h.beneficiary = in.fixed_of<Address>(root, "coinbase", "");
    const uint64_t nonce = number_or(in, root, "nonce", "", 0);
    for (size_t i = 0; i < 8; ++i) h.nonce[i] = static_cast<uint8_t>(nonce >> (56 - 8 * i));
    if (h.number != 0) in.fail(ConfigErrorCode::bad_value, "number", "must be 0");
}

/// Roots and the fields that the forks active at block 0 bring.
void complete_genesis(Reading& in, const json::object& root, ChainSpec& spec) {
    Header& h = spec.genesis.header;
    const auto update = state::state_root(kEmptyTrieRoot, spec.alloc, state::NoNodes{});
    if (!update) return in.fail(ConfigErrorCode::bad_value, "alloc", "gives no state root");
    h.state_root = update->root;
    h.ommers_hash = kEmptyListHash;
    h.transactions_root = kEmptyTrieRoot;
    h.receipts_root = kEmptyTrieRoot;
    const auto& rules = vm::rules_of(spec.config.revision_at(0, h.timestamp));
    const auto* base_fee = given(root, "baseFeePerGas");
    if (rules.fee_market)
        h.base_fee_per_gas = base_fee == nullptr ? Uint256(consensus::kInitialBaseFeeWei)
                                                 : in.amount(base_fee, "baseFeePerGas");
    if (rules.withdrawals) {
        h.withdrawals_root = kEmptyTrieRoot;
        spec.genesis.withdrawals.emplace();
    }
    if (rules.blob_tx) {
        h.blob_gas_used = number_or(in, root, "blobGasUsed", "", 0);
        h.excess_blob_gas = number_or(in, root, "excessBlobGas", "", 0);
        h.parent_beacon_block_root = Hash{};
    }
    if (rules.requests) h.requests_hash = sha256({});
}

}  // namespace

Result<ChainSpec, ConfigError> parse_chain_spec(std::string_view text) {
    const auto root = read_genesis_object(
        text, "a genesis file in geth's format has config, alloc and header fields");
    if (!root) return unexpected(root.error());
    Reading in;
    ChainSpec spec;
    read_config(in, *root, spec.config);
    read_header(in, *root, spec.genesis.header);
    read_alloc(in, *root, spec.alloc);
    if (!in.error) complete_genesis(in, *root, spec);
    if (in.error) return unexpected(std::move(*in.error));
    return spec;
}

}  // namespace trainyard::node::config
