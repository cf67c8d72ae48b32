// SPDX-License-Identifier: Apache-2.0
// Following the chain by the boundaries of its epochs alone: what a light client checks.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "consensus/bft/messages.hpp"
#include "consensus/params.hpp"
#include "consensus/staking/validator_set.hpp"
#include "core/result.hpp"
#include "state/trie.hpp"

namespace trainyard::consensus::light {

inline constexpr size_t kWitnessNodesMax = 20'000;
inline constexpr size_t kWitnessSizeMax_bytes = size_t{8} << 20;

/// The last block of an epoch, what makes it final, and what Staking.setOf reads of its state.
struct Boundary {
    Header header;
    bft::Certificate certificate;
    std::vector<Bytes> witness;  ///< trie nodes and code, in any order
};
/// rlp([header, certificate, [node, …]]), all three as strings
[[nodiscard]] Bytes encode_boundary(const Boundary& boundary);
[[nodiscard]] std::optional<Boundary> decode_boundary(BytesView encoded);

/// What advance() and at_boundary() will read of the state after the boundary of `epoch`: recorded
/// on a state that is here. nullopt if some of it is not.
[[nodiscard]] std::optional<std::vector<Bytes>> witness_of_sets(const state::NodeSource& nodes,
                                                                const Hash& state_root,
                                                                const ChainConfig& config,
                                                                Epoch epoch);

enum class LightError {
    wrong_block,         ///< not the block that comes next: number or epoch in its seal
    wrong_certificate,   ///< of another block or kind, or not signed by a quorum of the epoch's set
    witness_too_large,   ///< above kWitnessNodesMax or kWitnessSizeMax_bytes
    incomplete_witness,  ///< does not show the set of the epoch after the next
    no_set,              ///< shows that the state names no set for its epoch or the next
};
[[nodiscard]] std::string_view to_text(LightError error);

/// Knows the sets of the current epoch and the next, and nothing else of the state.
///
/// It trusts the set that it starts from. Whoever held a quorum of a set long ago could make
/// another chain from there once their stake was paid out, so a client that was away for longer
/// than the unbonding time needs a block hash from somebody it trusts. Source: docs/spec/light.md.
class LightChain {
public:
    struct Start {
        bft::ChainIdentity chain;
        Epoch epoch;           ///< the first whose boundary is not known yet
        SetPtr current, next;  ///< sets of `epoch` and of the one after
    };
    /// From a boundary whose header is trusted for its hash. The state after it names the set that
    /// signed it, against which its certificate is checked, and those of the two epochs that
    /// follow. After no_set another boundary will do.
    [[nodiscard]] static Result<Start, LightError> at_boundary(const ChainConfig& config,
                                                               const Start& genesis,
                                                               const Boundary& boundary);
    /// `config` must outlive this.
    LightChain(const ChainConfig& config, Start start) : config_(&config), at_(std::move(start)) {}
    /// From genesis: its set votes in epochs 0 and 1.
    [[nodiscard]] static Start at_genesis(const bft::ChainIdentity& chain,
                                          const ValidatorSet& validators);

    [[nodiscard]] const Start& at() const { return at_; }
    /// The height of the boundary that comes next.
    [[nodiscard]] Height next_boundary() const;

    /// Takes the boundary of the current epoch, and is then in the one after. After an error
    /// nothing has changed.
    [[nodiscard]] Result<Done, LightError> advance(const Boundary& boundary);
    /// True facts about a block of the current epoch: it is final, and this is its header.
    [[nodiscard]] Result<Done, LightError> verify_final(const Header& header,
                                                        const bft::Certificate& certificate) const;

private:
    const ChainConfig* config_;
    Start at_;
};

}  // namespace trainyard::consensus::light
