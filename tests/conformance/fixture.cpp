// SPDX-License-Identifier: Apache-2.0
// Fork names, accounts and the world of the vectors.
#include "tests/conformance/fixture.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace trainyard::conformance {
namespace {

using consensus::BlobSchedule;
using consensus::ChainConfig;
using consensus::ForkAt;
using vm::Revision;

/// Where the second fork of "…To…" begins.
struct Switch {
    std::string_view suffix;
    uint64_t number, timestamp;
    uint64_t total_difficulty = 0;  ///< of the last block of proof of work, at least
};
constexpr Switch kSwitches[] = {
    {"AtTime15k", 0, 15000},
    {"At5", 5, 0},
    {"AtDiffC0000", std::numeric_limits<uint64_t>::max(), 0, 0xc0000},
};

constexpr std::pair<std::string_view, Revision> kForks[] = {
    {"Frontier", Revision::frontier},
    {"Homestead", Revision::homestead},
    {"EIP150", Revision::tangerine_whistle},
    {"TangerineWhistle", Revision::tangerine_whistle},
    {"EIP158", Revision::spurious_dragon},
    {"SpuriousDragon", Revision::spurious_dragon},
    {"Byzantium", Revision::byzantium},
    {"Constantinople", Revision::constantinople},
    {"ConstantinopleFix", Revision::petersburg},
    {"Istanbul", Revision::istanbul},
    {"MuirGlacier", Revision::istanbul},
    {"Berlin", Revision::berlin},
    {"London", Revision::london},
    {"ArrowGlacier", Revision::london},
    {"GrayGlacier", Revision::london},
    {"Paris", Revision::paris},
    {"Merge", Revision::paris},
    {"Shanghai", Revision::shanghai},
    {"Cancun", Revision::cancun},
    {"Prague", Revision::prague},
    {"Osaka", Revision::osaka},
    {"BPO1", Revision::osaka},
    {"BPO2", Revision::osaka},
    {"BPO3", Revision::osaka},
    {"BPO4", Revision::osaka},
};

BlobSchedule blobs_named(std::string_view name, Revision revision, const json::object* config) {
    const json::value* schedules = config == nullptr ? nullptr : find(*config, "blobSchedule");
    if (schedules == nullptr) return consensus::ethereum_blobs(revision);
    const json::value* own = find(schedules->as_object(), name);
    if (own == nullptr) return consensus::ethereum_blobs(revision);
    const auto& o = own->as_object();
    return {small_number_at(o, "target"), small_number_at(o, "max"),
            small_number_at(o, "baseFeeUpdateFraction")};
}

}  // namespace

std::optional<Revision> revision_named(std::string_view name) {
    for (const auto& [known, revision] : kForks)
        if (known == name) return revision;
    return std::nullopt;
}

std::optional<ChainConfig> config_named(std::string_view network, const json::object* config) {
    constexpr std::string_view kTo = "To";
    const uint64_t chain_id = config == nullptr ? 1 : small_number_at(*config, "chainid", 1);
    std::vector<ForkAt> forks;
    std::optional<Uint256> terminal_total_difficulty;
    const auto add = [&](std::string_view name, uint64_t number, uint64_t time) {
        const auto revision = revision_named(name);
        if (!revision) return false;
        forks.push_back({*revision, number, time, blobs_named(name, *revision, config)});
        return true;
    };
    const auto* const at =
        std::find_if(std::begin(kSwitches), std::end(kSwitches),
                     [&](const Switch& s) { return network.ends_with(s.suffix); });
    if (at != std::end(kSwitches)) {
        const auto names = network.substr(0, network.size() - at->suffix.size());
        const auto middle = names.find(kTo);
        if (middle == std::string_view::npos || !add(names.substr(0, middle), 0, 0) ||
            !add(names.substr(middle + kTo.size()), at->number, at->timestamp))
            return std::nullopt;
        if (at->total_difficulty != 0) terminal_total_difficulty = at->total_difficulty;
    } else if (!add(network, 0, 0)) {
        return std::nullopt;
    }
    auto result = consensus::ethereum_config(chain_id, std::move(forks));
    result.terminal_total_difficulty = terminal_total_difficulty;
    return result;
}

state::StateDiff accounts_of(const json::object& pre) {
    state::StateDiff diff;
    for (const auto& [key, value] : pre) {
        const auto& o = value.as_object();
        const auto address = fixed_of<Address>(json::value(key));
        state::AccountChange change;
        change.nonce = small_number_at(o, "nonce");
        change.balance = number_at(o, "balance");
        const auto* code = find(o, "code");
        const Bytes bytes = code == nullptr ? Bytes() : bytes_of(*code);
        if (!bytes.empty()) {
            change.code_hash = keccak256(bytes);
            diff.codes[change.code_hash] = bytes;
        }
        if (const auto* storage = find(o, "storage"))
            for (const auto& [slot, word] : storage->as_object())
                change.storage[number_of(json::value(slot))] = number_of(word);
        diff.accounts[address] = std::move(change);
    }
    return diff;
}

std::optional<state::Account> MemoryWorld::account(const Address& address) const {
    const auto it = accounts_.find(address);
    return it == accounts_.end() ? std::nullopt : std::optional(it->second.account);
}

Uint256 MemoryWorld::storage(const Address& address, const Uint256& slot) const {
    const auto it = accounts_.find(address);
    if (it == accounts_.end()) return {};
    const auto found = it->second.storage.find(slot);
    return found == it->second.storage.end() ? Uint256() : found->second;
}

Bytes MemoryWorld::code(const Hash& code_hash) const {
    const auto it = codes_.find(code_hash);
    return it == codes_.end() ? Bytes() : it->second;
}

Hash MemoryWorld::root_after(const state::StateDiff& diff) const {
    const auto update = state::state_root(root_, diff, nodes_);
    if (!update) throw BadVector{"the trie says: " + state::to_text(update.error())};
    return update->root;
}

void MemoryWorld::apply(const state::StateDiff& diff) {
    auto update = state::state_root(root_, diff, nodes_);
    if (!update) throw BadVector{"the trie says: " + state::to_text(update.error())};
    root_ = update->root;
    nodes_.map.merge(update->new_nodes);
    for (const auto& [hash, code] : diff.codes) codes_[hash] = code;
    for (const auto& [address, change] : diff.accounts) {
        if (!change) {
            accounts_.erase(address);
            continue;
        }
        Stored& stored = accounts_[address];
        if (change->storage_cleared) stored.storage.clear();
        for (const auto& [slot, word] : change->storage) {
            if (word.is_zero())
                stored.storage.erase(slot);
            else
                stored.storage[slot] = word;
        }
        stored.account = {change->nonce, change->balance, change->code_hash,
                          update->storage_roots.at(address)};
    }
}

}  // namespace trainyard::conformance
