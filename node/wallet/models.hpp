// SPDX-License-Identifier: Apache-2.0
// Model tokens: what the chain knows of a trained model, and the words of the one who paid.
#pragma once

#include <string>
#include <vector>

#include "node/wallet/eth_client.hpp"
#include "node/wallet/tx_sender.hpp"

namespace trainyard::node::wallet {

/// What the market wrote at minting; it never changes.
struct ModelRecord {
    uint64_t job = 0;
    Hash program, program_id, data_root, state_root, state_blob, segments_root;
    uint32_t segments = 0, loss_bits = 0;
    std::vector<Address> providers;
    std::string licence;
};

struct ModelCard {
    ModelRecord record;
    Address owner, payer;
    std::string title;
    std::vector<Uint256> parents;  ///< models that this one continues, each older than it
};

[[nodiscard]] Answer<uint64_t> model_count(EthClient& client);
[[nodiscard]] Answer<ModelRecord> model_record(EthClient& client, const Uint256& token);
/// Error reverted: there is no such token.
[[nodiscard]] Answer<ModelCard> model_card(EthClient& client, const Uint256& token);

/// The root over all segment roots as the market keeps them now: keccak256(a | root) from zero.
[[nodiscard]] Answer<Hash> folded_segment_roots(EthClient& client, const Uint256& token,
                                                uint32_t segments);

// --- by the one who paid; others are refused (NotPayer)
[[nodiscard]] Answer<TxReceipt> set_title(TxSender& sender, const Uint256& token,
                                          std::string_view title);
/// Once only: a lineage that could be rewritten would be none.
[[nodiscard]] Answer<TxReceipt> set_parents(TxSender& sender, const Uint256& token,
                                            const std::vector<Uint256>& parents);
/// At most 1,000 basis points of a resale, for `receiver`; 0 takes it back.
[[nodiscard]] Answer<TxReceipt> set_royalty(TxSender& sender, const Uint256& token,
                                            const Address& receiver, uint32_t basis_points);

}  // namespace trainyard::node::wallet
