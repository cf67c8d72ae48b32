// SPDX-License-Identifier: Apache-2.0
// Decoders of the objects: calls, overrides and log filters.
#include "rpc/fields.hpp"

namespace trainyard::rpc {

namespace json = boost::json;

namespace {

using Outcome = Result<Done, std::string>;

Unexpected<std::string> wrong(std::string message) {
    return Unexpected(std::move(message));
}

/// An EIP-2930 key has all 32 bytes.
Decoded<AccessTuple> decode_access_tuple(const json::value& value) {
    if (!value.is_object()) return wrong("expected an object with address and storageKeys");
    AccessTuple tuple;
    const auto keys = [](const json::value& v) {
        return decode_list<Hash>(v, kSlotsMax, decode_hash);
    };
    const auto read = Fields(value.get_object())
                          .read("address", tuple.address, decode_address)
                          .read("storageKeys", tuple.storage_keys, keys)
                          .finish();
    if (!read) return wrong(read.error());
    return tuple;
}

Decoded<Authorization> decode_authorization(const json::value& value) {
    if (!value.is_object()) return wrong("expected an authorization object");
    Authorization auth;
    uint64_t parity = 0;
    const auto read = Fields(value.get_object())
                          .read("chainId", auth.chain_id, decode_quantity256)
                          .read("address", auth.address, decode_address)
                          .read("nonce", auth.nonce, decode_quantity)
                          .read("yParity", parity, decode_quantity)
                          .read("r", auth.r, decode_quantity256)
                          .read("s", auth.s, decode_quantity256)
                          .finish();
    if (!read) return wrong(read.error());
    if (parity > 255) return wrong("yParity: larger than a byte");
    auth.y_parity = static_cast<uint8_t>(parity);
    return auth;
}

Decoded<std::map<Uint256, Uint256>> decode_storage(const json::value& value) {
    if (!value.is_object()) return wrong("expected an object of slots");
    const auto& object = value.get_object();
    if (object.size() > kSlotsMax)
        return wrong("more than " + std::to_string(kSlotsMax) + " slots");
    std::map<Uint256, Uint256> storage;
    for (const auto& [name, word] : object) {
        const auto slot = decode_slot(json::value(name));
        if (!slot) return wrong(slot.error());
        const auto content = decode_hash(word);
        if (!content) return wrong(content.error());
        storage[*slot] = from_hash(*content);
    }
    return storage;
}

Decoded<AccountOverride> decode_account_override(const json::value& value) {
    if (!value.is_object()) return wrong("expected an object");
    const auto& object = value.get_object();
    if (object.contains("state") && object.contains("stateDiff"))
        return wrong("account has both 'state' and 'stateDiff'");
    AccountOverride out;
    const auto read = Fields(object)
                          .read("nonce", out.nonce, decode_quantity)
                          .read("balance", out.balance, decode_quantity256)
                          .read("code", out.code, decode_data)
                          .read("state", out.state, decode_storage)
                          .read("stateDiff", out.state_diff, decode_storage)
                          .read("movePrecompileToAddress", out.move_precompile_to, decode_address)
                          .finish();
    if (!read) return wrong(read.error());
    return out;
}

/// A position of `topics`: null, one hash, or a list of choices in which null frees the position.
Decoded<std::vector<Hash>> decode_topic(const json::value& value) {
    if (value.is_null()) return std::vector<Hash>{};
    if (!value.is_array()) {
        const auto hash = decode_hash(value);
        if (!hash) return wrong(hash.error());
        return std::vector<Hash>{*hash};
    }
    for (const auto& choice : value.get_array())
        if (choice.is_null()) return std::vector<Hash>{};
    return decode_list<Hash>(value, kTopicChoicesMax, decode_hash);
}

Decoded<std::vector<Address>> decode_addresses(const json::value& value) {
    if (value.is_array()) return decode_list<Address>(value, kAddressesMax, decode_address);
    const auto address = decode_address(value);
    if (!address) return wrong(address.error());
    return std::vector<Address>{*address};
}

Decoded<Withdrawal> decode_withdrawal(const json::value& value) {
    if (!value.is_object()) return wrong("expected a withdrawal object");
    Withdrawal out;
    const auto read = Fields(value.get_object())
                          .read("index", out.index, decode_quantity)
                          .read("validatorIndex", out.validator_index, decode_quantity)
                          .read("address", out.address, decode_address)
                          .read("amount", out.amount_gwei, decode_quantity)
                          .finish();
    if (!read) return wrong(read.error());
    return out;
}

Outcome check_call(const CallRequest& call) {
    if (call.gas_price && (call.max_fee_per_gas || call.max_priority_fee_per_gas))
        return wrong("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified");
    if (call.max_fee_per_gas && call.max_priority_fee_per_gas &&
        *call.max_fee_per_gas < *call.max_priority_fee_per_gas)
        return wrong("maxFeePerGas (" + to_decimal(*call.max_fee_per_gas) +
                     ") < maxPriorityFeePerGas (" + to_decimal(*call.max_priority_fee_per_gas) +
                     ")");
    return Done{};
}

}  // namespace

Decoded<CallRequest> decode_call(const json::value& value) {
    if (!value.is_object()) return wrong("expected a transaction object");
    const auto& object = value.get_object();
    CallRequest call;
    std::optional<Bytes> data, input;
    const auto tuples = [](const json::value& v) {
        return decode_list<AccessTuple>(v, kAddressesMax, decode_access_tuple);
    };
    const auto auths = [](const json::value& v) {
        return decode_list<Authorization>(v, kAddressesMax, decode_authorization);
    };
    const auto hashes = [](const json::value& v) {
        return decode_list<Hash>(v, kAddressesMax, decode_hash);
    };
    const auto read =
        Fields(object)
            .read("from", call.from, decode_address)
            .read("to", call.to, decode_address)
            .read("gas", call.gas, decode_quantity)
            .read("nonce", call.nonce, decode_quantity)
            .read("gasPrice", call.gas_price, decode_quantity256)
            .read("maxFeePerGas", call.max_fee_per_gas, decode_quantity256)
            .read("maxPriorityFeePerGas", call.max_priority_fee_per_gas, decode_quantity256)
            .read("maxFeePerBlobGas", call.max_fee_per_blob_gas, decode_quantity256)
            .read("value", call.value, decode_quantity256)
            .read("data", data, decode_data)
            .read("input", input, decode_data)
            .read("accessList", call.access_list, tuples)
            .read("authorizationList", call.authorizations, auths)
            .read("blobVersionedHashes", call.blob_hashes, hashes)
            .finish();
    if (!read) return wrong(read.error());
    if (data && input && *data != *input)
        return wrong(
            "both \"data\" and \"input\" are set and not equal; use \"input\" for call data");
    call.data = input ? std::move(*input) : data ? std::move(*data) : Bytes{};
    const auto* list = object.if_contains("accessList");
    call.has_access_list = list && !list->is_null();
    if (const auto checked = check_call(call); !checked) return wrong(checked.error());
    return call;
}

Decoded<StateOverrides> decode_state_overrides(const json::value& value) {
    if (!value.is_object()) return wrong("expected an object of addresses");
    const auto& object = value.get_object();
    if (object.size() > kOverridesMax) return wrong("too many accounts");
    StateOverrides out;
    for (const auto& [name, account] : object) {
        const auto address = decode_address(json::value(name));
        if (!address) return wrong(address.error());
        auto decoded = decode_account_override(account);
        if (!decoded) return wrong(std::string(name) + ": " + decoded.error());
        out[*address] = std::move(*decoded);
    }
    return out;
}

Decoded<BlockOverrides> decode_block_overrides(const json::value& value) {
    if (!value.is_object()) return wrong("expected an object");
    BlockOverrides out;
    const auto withdrawals = [](const json::value& v) {
        return decode_list<Withdrawal>(v, kWithdrawalsMax, decode_withdrawal);
    };
    const auto read = Fields(value.get_object())
                          .read("number", out.number, decode_quantity)
                          .read("time", out.time, decode_quantity)
                          .read("gasLimit", out.gas_limit, decode_quantity)
                          .read("feeRecipient", out.fee_recipient, decode_address)
                          .read("prevRandao", out.prev_randao, decode_hash)
                          .read("baseFeePerGas", out.base_fee_per_gas, decode_quantity256)
                          .read("blobBaseFee", out.blob_base_fee, decode_quantity256)
                          .read("beaconRoot", out.beacon_root, decode_hash)
                          .read("withdrawals", out.withdrawals, withdrawals)
                          .finish();
    if (!read) return wrong(read.error());
    return out;
}

Decoded<LogFilter> decode_log_filter(const json::value& value) {
    if (!value.is_object()) return wrong("expected a filter object");
    LogFilter filter;
    const auto topics = [](const json::value& v) {
        return decode_list<std::vector<Hash>>(v, kTopicsMax, decode_topic);
    };
    const auto read = Fields(value.get_object())
                          .read("blockHash", filter.block_hash, decode_hash)
                          .read("fromBlock", filter.from, decode_block_number)
                          .read("toBlock", filter.to, decode_block_number)
                          .read("address", filter.addresses, decode_addresses)
                          .read("topics", filter.topics, topics)
                          .finish();
    if (!read) return wrong(read.error());
    if (filter.block_hash && (filter.from || filter.to))
        return wrong(
            "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other");
    return filter;
}

}  // namespace trainyard::rpc
