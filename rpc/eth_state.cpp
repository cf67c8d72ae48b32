// SPDX-License-Identifier: Apache-2.0
// eth_*: accounts, code, storage and proofs at a block.
#include "core/hash.hpp"
#include "rpc/lookup.hpp"

namespace trainyard::rpc {

namespace {

Result<AccountInfo, Error> account_at(Call& call, size_t block_param) {
    const auto block = block_argument(call, block_param);
    if (!block) return Unexpected(block.error());
    const auto account = call.backend.account((*block)->hash, call.args.at<Address>(0));
    if (!account) return Unexpected(to_error(account.error()));
    return account->value_or(AccountInfo{});
}

Outcome get_balance(Call& call) {
    const auto account = account_at(call, 1);
    if (!account) return Unexpected(account.error());
    call.out.quantity(account->balance);
    return Done{};
}

Outcome get_transaction_count(Call& call) {
    const auto id = call.args.value_or<BlockId>(1, Tag::latest);
    if (const auto* tag = std::get_if<Tag>(&id); tag && *tag == Tag::pending) {
        call.out.quantity(call.backend.pending_nonce(call.args.at<Address>(0)));
        return Done{};
    }
    const auto account = account_at(call, 1);
    if (!account) return Unexpected(account.error());
    call.out.quantity(account->nonce);
    return Done{};
}

Outcome get_code(Call& call) {
    const auto block = block_argument(call, 1);
    if (!block) return Unexpected(block.error());
    const auto code = call.backend.code((*block)->hash, call.args.at<Address>(0));
    if (!code) return Unexpected(to_error(code.error()));
    call.out.data(BytesView(*code));
    return Done{};
}

Outcome get_storage_at(Call& call) {
    const auto block = block_argument(call, 2);
    if (!block) return Unexpected(block.error());
    const auto value =
        call.backend.storage((*block)->hash, call.args.at<Address>(0), call.args.at<Uint256>(1));
    if (!value) return Unexpected(to_error(value.error()));
    call.out.data(to_hash(*value));
    return Done{};
}

Outcome get_storage_values(Call& call) {
    const auto block = block_argument(call, 1);
    if (!block) return Unexpected(block.error());
    call.out.begin_object();
    for (const auto& [address, slots] : call.args.at<SlotsByAccount>(0)) {
        call.out.key(to_hex0x(address.bytes)).begin_array();
        for (const auto& slot : slots) {
            const auto value = call.backend.storage((*block)->hash, address, slot);
            if (!value) return Unexpected(to_error(value.error()));
            call.out.data(to_hash(*value));
        }
        call.out.end_array();
    }
    call.out.end_object();
    return Done{};
}

Outcome get_account_info(Call& call) {
    const auto account = account_at(call, 1);
    if (!account) return Unexpected(account.error());
    const auto block = block_argument(call, 1);
    if (!block) return Unexpected(block.error());
    const auto code = call.backend.code((*block)->hash, call.args.at<Address>(0));
    if (!code) return Unexpected(to_error(code.error()));
    call.out.begin_object().key("balance").quantity(account->balance);
    call.out.key("nonce").quantity(account->nonce).key("code").data(BytesView(*code)).end_object();
    return Done{};
}

void write_nodes(JsonWriter& out, const std::vector<Bytes>& nodes) {
    out.begin_array();
    for (const auto& node : nodes) out.data(BytesView(node));
    out.end_array();
}

/// Slots as they were named: clients look for their key, with all its bytes or as a quantity.
void write_storage_proofs(JsonWriter& out, const std::vector<StorageProof>& proofs,
                          const std::vector<ProofKey>& keys) {
    out.begin_array();
    for (size_t i = 0; i < proofs.size(); ++i) {
        out.begin_object().key("key");
        keys[i].has_all_bytes ? out.data(to_hash(keys[i].slot)) : out.quantity(keys[i].slot);
        out.key("value").quantity(proofs[i].value).key("proof");
        write_nodes(out, proofs[i].nodes);
        out.end_object();
    }
    out.end_array();
}

/// EIP-1186.
Outcome get_proof(Call& call) {
    const auto block = block_argument(call, 2);
    if (!block) return Unexpected(block.error());
    const auto& address = call.args.at<Address>(0);
    const auto& keys = call.args.at<std::vector<ProofKey>>(1);
    std::vector<Uint256> slots;
    for (const auto& key : keys) slots.push_back(key.slot);
    const auto proof = call.backend.proof((*block)->hash, address, slots);
    if (!proof) return Unexpected(to_error(proof.error()));
    auto& out = call.out;
    out.begin_object().key("address").data(address).key("accountProof");
    write_nodes(out, proof->nodes);
    out.key("balance").quantity(proof->account.balance);
    out.key("codeHash").data(proof->account.code_hash);
    out.key("nonce").quantity(proof->account.nonce);
    out.key("storageHash").data(proof->account.storage_root).key("storageProof");
    write_storage_proofs(out, proof->storage, keys);
    out.end_object();
    return Done{};
}

Outcome accounts(Call& call) {
    call.out.begin_array().end_array();
    return Done{};
}

constexpr Param kAddress{"address", Kind::address, true};
constexpr Param kBlock{"block", Kind::block, false};

constexpr Method kMethods[] = {
    {"eth_getBalance", get_balance, {kAddress, kBlock}, Shape::quantity, false, "balance in wei"},
    {"eth_getTransactionCount",
     get_transaction_count,
     {kAddress, kBlock},
     Shape::quantity,
     false,
     "next nonce; with the tag pending, the one after the pool's"},
    {"eth_getCode", get_code, {kAddress, kBlock}, Shape::data, false, "code of an account"},
    {"eth_getStorageAt",
     get_storage_at,
     {{kAddress, {"slot", Kind::slot, true}, kBlock}},
     Shape::data,
     false,
     "one storage slot"},
    {"eth_getStorageValues",
     get_storage_values,
     {{{"slots", Kind::slots_by_account, true}, kBlock}},
     Shape::object,
     false,
     "storage slots of several accounts"},
    {"eth_getAccountInfo",
     get_account_info,
     {kAddress, kBlock},
     Shape::object,
     false,
     "balance, nonce and code at once"},
    {"eth_getProof",
     get_proof,
     {{kAddress, {"slots", Kind::proof_keys, true}, kBlock}},
     Shape::object,
     false,
     "Merkle proof of an account and its slots (EIP-1186)"},
    {"eth_accounts", accounts, {}, Shape::array, false, "always empty: the node signs nothing"},
};

}  // namespace

std::span<const Method> state_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
