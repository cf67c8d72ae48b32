// SPDX-License-Identifier: Apache-2.0
// What state and block vectors share: forks by name, accounts, and a world in memory with its trie.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "consensus/params.hpp"
#include "state/trie.hpp"
#include "state/view.hpp"
#include "tests/conformance/json.hpp"

namespace trainyard::conformance {

/// "Osaka", "ConstantinopleFix", …; nullopt for names of no known fork.
[[nodiscard]] std::optional<vm::Revision> revision_named(std::string_view name);

/// Ethereum's rules for a network name of the vectors, transitions ("PragueToOsakaAtTime15k",
/// "FrontierToHomesteadAt5", "ArrowGlacierToParisAtDiffC0000") and blob-parameter forks ("BPO1")
/// too; nullopt if unknown. `config`: the vector's, may be null.
[[nodiscard]] std::optional<consensus::ChainConfig> config_named(std::string_view network,
                                                                 const json::object* config);

/// The accounts of "pre" as a change of the empty world.
[[nodiscard]] state::StateDiff accounts_of(const json::object& pre);

/// One state root with everything below it, on top of an earlier one or of nothing.
class MemoryWorld final : public state::StateView {
public:
    MemoryWorld() = default;
    [[nodiscard]] std::optional<state::Account> account(const Address& address) const override;
    [[nodiscard]] Uint256 storage(const Address& address, const Uint256& slot) const override;
    [[nodiscard]] Bytes code(const Hash& code_hash) const override;

    /// Throws BadVector where the trie refuses, which is a bug of ours.
    void apply(const state::StateDiff& diff);
    /// The root that `diff` would give.
    [[nodiscard]] Hash root_after(const state::StateDiff& diff) const;
    [[nodiscard]] const Hash& root() const { return root_; }

private:
    struct Stored {
        state::Account account;
        std::map<Uint256, Uint256> storage;
    };
    class Nodes final : public state::NodeSource {
    public:
        [[nodiscard]] state::NodePtr node(const Hash& hash, std::string_view) const override {
            return map.find(hash);
        }
        state::NodeMap map;
    };

    std::map<Address, Stored> accounts_;
    std::map<Hash, Bytes> codes_;
    Nodes nodes_;
    Hash root_ = kEmptyTrieRoot;
};

}  // namespace trainyard::conformance
