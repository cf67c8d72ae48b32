// SPDX-License-Identifier: Apache-2.0
// The ModelRegistry contract behind a node's RPC.
#include "node/wallet/models.hpp"

#include "core/hash.hpp"
#include "node/wallet/market_abi.hpp"
#include "node/wallet/view_call.hpp"

namespace trainyard::node::wallet {
namespace {

Answer<AbiValue> ask_about(EthClient& client, const Uint256& token, std::string_view signature,
                           std::string_view returns) {
    auto value = ask(client, {kModels, signature, {AbiValue::of(token)}, in_parentheses(returns)});
    if (!value) return unexpected(value.error());
    return std::move((*value).items[0]);
}

}  // namespace

Answer<uint64_t> model_count(EthClient& client) {
    const auto value = ask(client, {kModels, "totalSupply()", {}, "(uint256)"});
    if (!value) return unexpected(value.error());
    return (*value)[0].u64();
}

Answer<ModelRecord> model_record(EthClient& client, const Uint256& token) {
    const auto value = ask_about(client, token, "record(uint256)", kModelRecordType);
    if (!value) return unexpected(value.error());
    return model_record_from(*value);
}

Answer<ModelCard> model_card(EthClient& client, const Uint256& token) {
    ModelCard card;
    auto record = model_record(client, token);
    if (!record) return unexpected(record.error());
    const auto owner = ask_about(client, token, "ownerOf(uint256)", "address");
    if (!owner) return unexpected(owner.error());
    const auto payer = ask_about(client, token, "payerOf(uint256)", "address");
    if (!payer) return unexpected(payer.error());
    const auto title = ask_about(client, token, "titleOf(uint256)", "string");
    if (!title) return unexpected(title.error());
    const auto parents = ask_about(client, token, "parentsOf(uint256)", "uint256[]");
    if (!parents) return unexpected(parents.error());
    card.record = std::move(*record);
    card.owner = owner->address();
    card.payer = payer->address();
    card.title.assign(title->bytes.begin(), title->bytes.end());
    for (const auto& parent : parents->items) card.parents.push_back(parent.number);
    return card;
}

Answer<Hash> folded_segment_roots(EthClient& client, const Uint256& token, uint32_t segments) {
    Hash folded;
    for (uint32_t seg = 0; seg < segments; ++seg) {
        const auto root = ask(client, {kModels,
                                       "segmentRoot(uint256,uint32)",
                                       {AbiValue::of(token), AbiValue::of(Uint256(seg))},
                                       "(bytes32)"});
        if (!root) return unexpected(root.error());
        Bytes both;
        append(both, folded);
        append(both, (*root)[0].hash());
        folded = keccak256(both);
    }
    return folded;
}

Answer<TxReceipt> set_title(TxSender& sender, const Uint256& token, std::string_view title) {
    return sender.send(
        {kModels,
         {},
         call_data("setTitle(uint256,string)", {AbiValue::of(token), AbiValue::of(title)})});
}

Answer<TxReceipt> set_parents(TxSender& sender, const Uint256& token,
                              const std::vector<Uint256>& parents) {
    std::vector<AbiValue> items;
    for (const auto& parent : parents) items.push_back(AbiValue::of(parent));
    return sender.send({kModels,
                        {},
                        call_data("setParents(uint256,uint256[])",
                                  {AbiValue::of(token), AbiValue::of_items(std::move(items))})});
}

Answer<TxReceipt> set_royalty(TxSender& sender, const Uint256& token, const Address& receiver,
                              uint32_t basis_points) {
    return sender.send({kModels,
                        {},
                        call_data("setRoyalty(uint256,address,uint96)",
                                  {AbiValue::of(token), AbiValue::of(receiver),
                                   AbiValue::of(Uint256(basis_points))})});
}

}  // namespace trainyard::node::wallet
